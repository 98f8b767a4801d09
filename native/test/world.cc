#include "world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "check.h"

namespace {
bool isFull = false;
}

/** In place of libc's. */
extern "C" int epoll_ctl(int epoll, int operation, int descriptor, epoll_event* event) noexcept {
  if (isFull && operation != EPOLL_CTL_DEL) {
    errno = ENOSPC;
    return -1;
  }
  return int(syscall(SYS_epoll_ctl, epoll, operation, descriptor, event));
}

namespace world {

using engine::Bytes;
using engine::ConstBytes;
using engine::Descriptor;

double now = 1000;

namespace {

const std::array<uint8_t, 12> nonce{};

double clock() { return now; }

std::array<uint8_t, 16> keyOf(uint8_t first) {
  std::array<uint8_t, 16> key{};
  key[0] = first;
  return key;
}

/** A socket for datagrams to itself. From here on this thread stays on one processor. */
Descriptor ownPost() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(size_t(sched_getcpu()), &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  Descriptor post(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  CHECK(bind(post.get(), any, size) == 0);
  CHECK(getsockname(post.get(), any, &size) == 0);
  CHECK(connect(post.get(), any, size) == 0);
  return post;
}

/**
 * Returns when all that was sent over TCP on this machine has been delivered: each processor has one queue for it, which a loaded machine may
 * serve late, and a datagram to ourselves is behind all else there.
 */
void waitForDelivery() {
  static const Descriptor post = ownPost();
  char byte = 0;
  CHECK(send(post.get(), &byte, 1, 0) == 1);
  pollfd waits{post.get(), POLLIN, 0};
  CHECK(poll(&waits, 1, 10'000) == 1);
  CHECK(recv(post.get(), &byte, 1, 0) == 1);
}

/** Whether there is something to read. What the kernel sends in answer to a delivery may come a little later. */
bool isReady(int descriptor) {
  waitForDelivery();
  pollfd waits{descriptor, POLLIN, 0};
  return poll(&waits, 1, 2) == 1;
}

}  // namespace

TcpPair connected() {
  static const engine::ListenResult listening = engine::listenOn({"127.0.0.1", 0});
  static const uint16_t port = engine::addressOf(listening.socket).port;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  pollfd waits{listening.socket.get(), POLLIN, 0};
  CHECK(poll(&waits, 1, 10'000) == 1);
  Descriptor accepted(accept4(listening.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  CHECK(bool(accepted));
  return {std::move(accepted), std::move(client)};
}

void ToldLink::payload(ConstBytes bytes) {
  payloads.emplace_back(bytes.begin(), bytes.end());
  if (onPayload) onPayload(bytes);
}

void ToldLink::lost(engine::Loss why, int) {
  CHECK(!loss);
  loss = why;
}

void ToldListener::client(Descriptor client, const std::optional<engine::DialFailure>& failure) {
  backs.push_back({std::move(client), failure});
}

Bastion::Bastion(Descriptor socket) : socket_(std::move(socket)) { setKeys(1); }

void Bastion::setKeys(uint8_t key) {
  CHECK(outbox_.setKey(keyOf(key), nonce));
  CHECK(inbox_.setKey(keyOf(key), nonce));
}

void Bastion::send(ConstBytes payload) {
  if (!socket_) return;
  const Bytes room = outbox_.begin(payload.size());
  std::memcpy(room.data(), payload.data(), payload.size());
  outbox_.finish(payload.size());
  outbox_.flush(socket_);
}

void Bastion::send(std::initializer_list<uint32_t> typeAndNumbers, const std::string& text, bool hasText) {
  std::vector<uint8_t> payload(typeAndNumbers.size() * 4 + text.size() + 8);
  engine::Writer writer(payload);
  bool isFirst = true;
  for (const uint32_t value : typeAndNumbers) {
    if (isFirst) {
      writer.u8(uint8_t(value));
    } else {
      writer.u32(value);
    }
    isFirst = false;
  }
  if (hasText) writer.string(text);
  send(ConstBytes(payload).first(writer.size()));
}

void Bastion::ask(uint32_t id) {
  std::vector<uint8_t> request(64);
  engine::Writer writer(request);
  writer.u8(engine::message::request);
  writer.u32(id);
  writer.string("keepalive@openssh.com");
  writer.u8(1);
  send(ConstBytes(request).first(writer.size()));
}

void Bastion::sendRaw(ConstBytes bytes) {
  CHECK(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == ssize_t(bytes.size()));
}

std::vector<std::string> Bastion::read() {
  outbox_.flush(socket_);
  for (;;) {
    const Bytes room = inbox_.room();
    const ssize_t got = recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got <= 0) break;
    inbox_.took(size_t(got));
    Bytes payload;
    for (;;) {
      const auto next = inbox_.next(payload);
      CHECK(next != engine::Inbox::Next::bad);
      if (next == engine::Inbox::Next::incomplete) break;
      waiting_.emplace_back(payload.begin(), payload.end());
    }
  }
  std::vector<std::string> all(waiting_.begin(), waiting_.end());
  waiting_.clear();
  return all;
}

std::string Bastion::next(uint8_t type) {
  const auto all = read();
  for (size_t i = 0; i < all.size(); ++i) {
    if (uint8_t(all[i][0]) != type) continue;
    waiting_.assign(all.begin() + ptrdiff_t(i) + 1, all.end());
    return all[i];
  }
  return "";
}

uint32_t numberAt(const std::string& payload, size_t at) {
  CHECK(payload.size() >= at + 4);
  return engine::get32(reinterpret_cast<const uint8_t*>(payload.data()) + at);
}

FullKernel::FullKernel() { isFull = true; }
FullKernel::~FullKernel() { isFull = false; }

World::World() : engine(engine::Budget(budgetCells.data(), total), clock) {
  int both[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) == 0);
  bastion.emplace(Descriptor(both[1]));
  auto linkEvents = std::make_unique<ToldLink>();
  toldLink = linkEvents.get();
  link = std::make_shared<engine::Link>(engine, Descriptor(both[0]), linkCells.data(), 500, std::move(linkEvents));
  engine.add(link);
  CHECK(link->setSendKey(keyOf(1), nonce));
  CHECK(link->setReceiveKey(keyOf(1), nonce));
  CHECK(link->start());
  linkMemory = used();
  auto listenerEvents = std::make_unique<ToldListener>();
  told = listenerEvents.get();
  listener = std::make_shared<engine::Listener>(engine, Descriptor(), engine::Destination::tcp("db", 5432), 10'000,
                                                cells.data(), std::move(listenerEvents));
  engine.add(listener);
  listener->setLinks({link});
  cells[engine::listenerCell::places] = 1000;
}

World::~World() = default;

void World::run() {
  do {
    engine.turn();
    if (bastion) bastion->flush();
  } while (isReady(engine.descriptor()));
}

void World::wait(double ms) {
  now += ms;
  engine.tick();
  run();
}

Descriptor World::connect() {
  TcpPair pair = connected();
  listener->take(std::move(pair.accepted));
  run();
  return std::move(pair.client);
}

uint32_t World::confirm(uint32_t remote, uint32_t window, uint32_t packet) {
  const std::string open = bastion->next(engine::message::open);
  CHECK(!open.empty());
  const uint32_t type = numberAt(open, 1);
  const uint32_t id = numberAt(open, 5 + type);
  bastion->send({engine::message::openConfirmation, id, remote, window, packet});
  run();
  return id;
}

void World::data(uint32_t id, const std::string& text) {
  bastion->send({engine::message::data, id}, text, true);
  run();
}

void World::exchangeKeys(const std::function<void()>& read) {
  std::vector<uint8_t> packet(4 + 32 + 16);
  engine::put32(packet.data(), 32);
  packet[4] = 20;
  packet[5] = isExchanging ? engine::message::newKeys : engine::message::keyExchangeInit;
  CHECK(link->sealPacket(packet));
  if (isExchanging) {
    // All that has the old keys, in both directions.
    for (int i = 0; i < 100; ++i) {
      bastion->flush();
      engine.turn();
      read();
    }
    CHECK(link->setSendKey(keyOf(1), nonce));
    CHECK(link->setReceiveKey(keyOf(1), nonce));
    bastion->setKeys(1);
  }
  isExchanging = !isExchanging;
}

std::string received(const Descriptor& client) {
  std::string all;
  char bytes[64 * 1024];
  while (isReady(client.get())) {
    const ssize_t got = recv(client.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0) return all + "|";
    if (got < 0) return all + (errno == ECONNRESET ? "!" : "?");
    all.append(bytes, size_t(got));
  }
  return all;
}

void write(const Descriptor& client, const std::string& text) {
  CHECK(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) == ssize_t(text.size()));
}

}  // namespace world
