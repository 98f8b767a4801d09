#include "listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

#include "engine.h"
#include "link.h"

namespace engine {
namespace {

constexpr int backlog = 511;
/** Clients in a row before others get their turn. */
constexpr int acceptsInRow = 64;
/** A client that vanished silently is noticed after this long (plus the kernel's probes): clients/listener.ts. */
constexpr int keepAliveSeconds = 30;
constexpr int probeEverySeconds = 1;
constexpr int probes = 10;
constexpr double answeredEveryMs = 1000;

/** Upper bounds in seconds: metrics.ts. */
constexpr double buckets[listenerCell::buckets - 1] = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

double noCells[listenerCell::length];

void set(const Descriptor& socket, int level, int option, int value) {
  setsockopt(socket.get(), level, option, &value, sizeof value);
}

ListenResult listenOn(const sockaddr* address, socklen_t length, bool isDual) {
  Descriptor socket(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return {{}, errno};
  if (address->sa_family == AF_INET6) set(socket, IPPROTO_IPV6, IPV6_V6ONLY, isDual ? 0 : 1);
  set(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  // All of these are inherited by what is accepted: no system call for each client.
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, keepAliveSeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, probeEverySeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, probes);
  setResetOnClose(socket, true);
  if (bind(socket.get(), address, length) != 0 || listen(socket.get(), backlog) != 0) return {{}, errno};
  return {std::move(socket), 0};
}

std::vector<uint8_t> written(size_t most, auto write) {
  std::vector<uint8_t> bytes(most);
  Writer writer(bytes);
  write(writer);
  bytes.resize(writer.size());
  return bytes;
}

}  // namespace

Destination Destination::tcp(std::string_view host, uint32_t port) {
  return {"direct-tcpip", written(host.size() + 64, [&](Writer& to) {
            to.string(host);
            to.u32(port);
            to.string("127.0.0.1");
            to.u32(0);
          })};
}

Destination Destination::unixSocket(std::string_view path) {
  return {"direct-streamlocal@openssh.com", written(path.size() + 64, [&](Writer& to) {
            to.string(path);
            to.string("");
            to.u32(0);
          })};
}

ListenResult listenOn(const ListenAddress& address) {
  sockaddr_in six4{};
  sockaddr_in6 six6{};
  six4.sin_family = AF_INET;
  six4.sin_port = six6.sin6_port = htons(address.port);
  six6.sin6_family = AF_INET6;
  const auto* as4 = reinterpret_cast<const sockaddr*>(&six4);
  const auto* as6 = reinterpret_cast<const sockaddr*>(&six6);
  if (address.host.empty()) {
    ListenResult both = listenOn(as6, sizeof six6, true);
    // A kernel without IPv6.
    if (both.error != EAFNOSUPPORT && both.error != EADDRNOTAVAIL) return both;
    return listenOn(as4, sizeof six4, false);
  }
  if (inet_pton(AF_INET, address.host.c_str(), &six4.sin_addr) == 1) return listenOn(as4, sizeof six4, false);
  if (inet_pton(AF_INET6, address.host.c_str(), &six6.sin6_addr) == 1) return listenOn(as6, sizeof six6, false);
  return {{}, EINVAL};
}

ListenAddress addressOf(const Descriptor& socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &length);
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&storage);
    inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
    return {text, ntohs(six->sin6_port)};
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(&storage);
  inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
  return {text, ntohs(four->sin_port)};
}

Listener::Listener(Engine& engine, Descriptor socket, Destination destination, double dialTimeoutMs, double* cells,
                   std::unique_ptr<ListenerEvents> events)
    : engine_(engine),
      socket_(std::move(socket)),
      destination_(std::move(destination)),
      dialTimeoutMs_(dialTimeoutMs),
      cells_(cells),
      events_(std::move(events)),
      toldAt_(-answeredEveryMs) {}

bool Listener::start() { return engine_.poller().watch(*this, socket_, EPOLLIN); }

void Listener::takeBack(const Link& link) {
  engine_.eachConnection([&](Connection& connection) {
    if (connection.listener() != this || connection.link() != &link || !connection.isOpening()) return;
    connection.handBack(DialCause::taken);
  });
}

void Listener::stopAccepting() {
  if (!socket_) return;
  engine_.poller().forgetClosed(*this);
  socket_.close();
  isPaused_ = false;
}

void Listener::resetAll() {
  engine_.eachConnection([this](Connection& connection) {
    if (connection.listener() == this) connection.reset(BrokenBy::drain);
  });
  for (auto& back : engine_.untold(*this)) {
    setResetOnClose(back.client, true);
    if (back.failure) clientGone(BrokenBy::drain);
  }
}

void Listener::close() {
  if (isClosed_) return;
  stopAccepting();
  resetAll();
  isClosed_ = true;
  setTimed(false);
  links_.clear();
  engine_.tell(Engine::ListenerReleased{shared_from_this()});
}

void Listener::release() {
  cells_ = noCells;
  events_->released();
}

void Listener::ready(uint32_t) {
  for (int i = 0; i < acceptsInRow && socket_; ++i) {
    Descriptor client(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
      take(std::move(client));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    // Else epoll would report the client that waits again and again.
    if (errno != EAGAIN) pause();
    return;
  }
}

void Listener::pause() {
  engine_.poller().forget(*this, socket_);
  isPaused_ = true;
  setTimed(true);
}

void Listener::take(Descriptor client) {
  Link* link = double(open_) < cells_[listenerCell::places] ? leastLoaded() : nullptr;
  if (link == nullptr) {
    setResetOnClose(client, false);
    engine_.tell(Engine::ClientBack{shared_from_this(), std::move(client), std::nullopt});
    return;
  }
  setOpen(open_ + 1);
  Connection& connection = engine_.add(std::make_unique<Connection>(engine_, *this, *link, std::move(client)));
  link->dial(connection, destination_.type, destination_.tail);
}

Link* Listener::leastLoaded() const {
  Link* least = nullptr;
  for (const auto& link : links_) {
    if (link->takesDials() && (least == nullptr || link->load() < least->load())) least = link.get();
  }
  return least;
}

void Listener::dialled(double tookMs, bool isSuccess) {
  const double seconds = tookMs / 1000;
  const size_t bucket = size_t(std::lower_bound(std::begin(buckets), std::end(buckets), seconds) - std::begin(buckets));
  cells_[listenerCell::dialSecondsSum] += seconds;
  cells_[listenerCell::dialBuckets + bucket] += 1;
  if (!isSuccess) return;
  if (events_->wantsDials()) engine_.tell(Engine::Dialled{shared_from_this(), tookMs});
  cells_[listenerCell::carried] += 1;
  if (hasAnswered_) return;
  hasAnswered_ = true;
  if (engine_.now() - toldAt_ >= answeredEveryMs) {
    engine_.changed(*this);
  } else {
    setTimed(true);
  }
}

void Listener::clientGone(BrokenBy by) {
  switch (by) {
    case BrokenBy::nobody:
      cells_[listenerCell::endedClean] += 1;
      break;
    case BrokenBy::client:
      cells_[listenerCell::brokenByClient] += 1;
      break;
    case BrokenBy::destination:
      cells_[listenerCell::resetByDestination] += 1;
      break;
    case BrokenBy::session:
      cells_[listenerCell::resetBySession] += 1;
      break;
    case BrokenBy::drain:
      cells_[listenerCell::resetByDrain] += 1;
      break;
  }
  setOpen(open_ - 1);
}

void Listener::setOpen(uint32_t open) {
  engine_.countClients(int(open) - int(open_));
  open_ = open;
  cells_[listenerCell::open] = double(open);
  if (open > 0 || isClosed_) return;
  isIdle_ = true;
  engine_.changed(*this);
}

void Listener::tick(double now) {
  if (isClosed_) return;
  if (isPaused_) isPaused_ = !start();
  if (hasAnswered_ && now - toldAt_ >= answeredEveryMs) engine_.changed(*this);
  setTimed(isPaused_ || (hasAnswered_ && now - toldAt_ < answeredEveryMs));
}

void Listener::setTimed(bool isTimed) {
  if (isTimed == isTimed_) return;
  isTimed_ = isTimed;
  engine_.countTimed(isTimed ? 1 : -1);
}

void Listener::tellBack(Descriptor client, const std::optional<DialFailure>& failure) {
  if (isClosed_) return;
  if (failure) setOpen(open_ - 1);
  events_->client(std::move(client), failure);
}

void Listener::tellDial(double tookMs) {
  if (!isClosed_) events_->dialled(tookMs);
}

void Listener::tellEnd(const ClientEnd& end) {
  if (!isClosed_) events_->ended(end);
}

void Listener::tellChanges() {
  const double now = engine_.now();
  if (!isClosed_ && hasAnswered_ && now - toldAt_ >= answeredEveryMs) {
    hasAnswered_ = false;
    toldAt_ = now;
    events_->answered();
  }
  if (!isClosed_ && std::exchange(isIdle_, false) && open_ == 0) events_->idle();
}

}  // namespace engine
