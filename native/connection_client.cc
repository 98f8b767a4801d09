// A connection's client: its socket, what it sends, and how it ends. See connection.h.
#include <sys/ioctl.h>

#include <cerrno>
#include <linux/sockios.h>

#include "connection.h"
#include "engine.h"
#include "link.h"
#include "listener.h"

namespace engine {
namespace {

/** Vectors of one system call. */
constexpr size_t mostVectors = 64;
/** clients/bridge.ts says why. */
constexpr double lingerMs = 30'000;
/** Type, channel and length in front of the bytes of CHANNEL_DATA. */
constexpr size_t dataHeaderBytes = 9;
/** What is read and dropped in a row before others get their turn. */
constexpr int discardsInRow = 16;

/** Whether the kernel has something for the client that it has not acknowledged, its end included. */
bool hasToTake(const Descriptor& client) {
  int bytes = 0;
  return ioctl(client.get(), SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

}  // namespace

Connection::Connection(Engine& engine, Listener& listener, Link& link, Descriptor client)
    : engine_(engine),
      listener_(&listener),
      link_(link.shared_from_this()),
      client_(std::move(client)),
      window_(engine.budget(), engine.now()),
      beganAt_(engine.now()),
      dueAt_(beganAt_ + listener.dialTimeoutMs()) {
  setTimed(true);
}

Connection::~Connection() = default;

void Connection::ready(uint32_t events) {
  if (!hasClient()) return;
  if ((events & EPOLLERR) != 0) {
    part(BrokenBy::client);
    return;
  }
  if ((events & EPOLLOUT) != 0) writeBacklog();
  if (!hasClient() || (events & (EPOLLIN | EPOLLHUP)) == 0) return;
  if (reads()) {
    readClient();
  } else if ((events & EPOLLHUP) != 0) {
    // It has ended, which is read when its turn comes; epoll would report that until then.
    engine_.poller().forget(*this, client_);
  }
  // Else it was readable when the round began, and was read since as far as it may be: what it waits for now stays watched.
}

bool Connection::reads() const {
  if (clientEnded_) return false;
  return isLingering_ || (phase_ == Phase::open && outWindow_ > 0 && !waitsForLink);
}

void Connection::watch() {
  if (!hasClient() || phase_ == Phase::opening) return;
  const uint32_t in = reads() ? uint32_t(EPOLLIN) : 0u;
  const uint32_t out = backlog_.isEmpty() ? 0u : uint32_t(EPOLLOUT);
  // It would hang otherwise.
  if (!engine_.poller().watch(*this, client_, in | out)) part(BrokenBy::session);
}

// --- from the client ---

void Connection::readClient() {
  if (isLingering_) {
    discard();
    return;
  }
  while (hasClient() && reads()) {
    if (!link_->makeRoom()) {
      link_->waitForRoom(*this);
      break;
    }
    if (!readOnce()) break;
  }
  watch();
}

/** Reads straight into a packet. False if there is nothing more now. */
bool Connection::readOnce() {
  const size_t most = std::min<size_t>(size_t(outWindow_), mostSent_);
  const Bytes payload = link_->begin(dataHeaderBytes + most);
  const ssize_t got = recv(client_.get(), payload.data() + dataHeaderBytes, most, MSG_DONTWAIT);
  if (got > 0) {
    Writer header(payload.first(dataHeaderBytes));
    header.u8(message::data);
    header.u32(remote_);
    header.u32(uint32_t(got));
    link_->finish(dataHeaderBytes + size_t(got));
    outWindow_ -= got;
    toDestination_ += uint64_t(got);
    listener_->countBytes(listenerCell::toDestination, uint64_t(got));
    return size_t(got) == most;
  }
  if (got == 0) {
    clientEnded_ = true;
    sendEof();
    partIfEnded();
    return false;
  }
  if (errno == EINTR) return true;
  if (errno != EAGAIN) part(BrokenBy::client);
  return false;
}

void Connection::discard() {
  uint8_t dropped[16 * 1024];
  for (int i = 0; i < discardsInRow; ++i) {
    const ssize_t got = recv(client_.get(), dropped, sizeof dropped, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) {
      part(BrokenBy::client);
      return;
    }
    clientEnded_ = true;
    partIfEnded();
    break;
  }
  watch();
}

// --- to the client ---

int64_t Connection::write(std::span<iovec> vectors) {
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  for (;;) {
    const ssize_t sent = sendmsg(client_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return 0;
    part(BrokenBy::client);
    return -1;
  }
}

void Connection::writeBatch() {
  isInBatch = false;
  if (!hasClient()) return;
  std::span<iovec> waiting = batch_;
  int64_t written = 0;
  while (backlog_.isEmpty() && !waiting.empty()) {
    const std::span<iovec> now = waiting.first(std::min(waiting.size(), mostVectors));
    const int64_t sent = write(now);
    if (sent < 0) return;
    written += sent;
    auto rest = size_t(sent);
    while (!waiting.empty() && rest >= waiting[0].iov_len) {
      rest -= waiting[0].iov_len;
      waiting = waiting.subspan(1);
    }
    if (waiting.empty()) break;
    if (rest == 0 && waiting.data() == now.data() + now.size()) continue;
    waiting[0].iov_base = static_cast<uint8_t*>(waiting[0].iov_base) + rest;
    waiting[0].iov_len -= rest;
    break;
  }
  for (const iovec& piece : waiting) backlog_.keep({static_cast<const uint8_t*>(piece.iov_base), piece.iov_len});
  dropBatch();
  if (written > 0) consumed(written);
  shutIfDue();
  watch();
}

/** A far side that sends single bytes would else leave room for thousands in each of a thousand connections. */
void Connection::dropBatch() {
  if (batch_.capacity() > mostVectors) batch_ = {};
  batch_.clear();
}

void Connection::writeBacklog() {
  int64_t written = 0;
  while (!backlog_.isEmpty()) {
    iovec vectors[mostVectors];
    const size_t count = backlog_.show(vectors);
    const int64_t sent = write({vectors, count});
    if (sent < 0) return;
    if (sent == 0) break;
    backlog_.drop(size_t(sent));
    written += sent;
  }
  if (written > 0) consumed(written);
  shutIfDue();
  watch();
}

// --- the ends ---

void Connection::shutIfDue() {
  if (!hasClient() || !farEnded_ || isShut_ || !backlog_.isEmpty() || !batch_.empty()) return;
  isShut_ = true;
  // Closing it says so as well.
  if (!clientEnded_) shutdown(client_.get(), SHUT_WR);
  partIfEnded();
}

void Connection::partIfEnded() {
  if (farEnded_ && isShut_ && clientEnded_) part(BrokenBy::nobody);
}

void Connection::part(BrokenBy by, bool resets) {
  if (!hasClient()) return;
  if (phase_ == Phase::opening) endDial(false, false);
  if (listener_->wantsEnds()) {
    const ClientEnd end{link_, toDestination_, toClient_, engine_.now() - beganAt_, by};
    engine_.tell(Engine::Ended{listener_->shared_from_this(), end});
  }
  engine_.poller().forgetClosed(*this);
  if (!resets) setResetOnClose(client_, false);
  client_.close();
  listener_->clientGone(by);
  leaveClient();
  if (isOnLink_) sendClose();
  buryIfOver();
}

void Connection::handBack(DialCause cause, uint32_t reason, std::string text) {
  if (!hasClient()) return;
  const double tookMs = engine_.now() - beganAt_;
  endDial(cause != DialCause::taken, false);
  // Whoever gets it decides how it ends.
  setResetOnClose(client_, false);
  engine_.tell(Engine::ClientBack{listener_->shared_from_this(), std::move(client_),
                                  DialFailure{link_, cause, reason, std::move(text), tookMs}});
  leaveClient();
}

void Connection::leaveClient() {
  setTimed(false);
  listener_ = nullptr;
  dropBatch();
  backlog_.clear();
  window_.release();
}

void Connection::linger() {
  isLingering_ = true;
  dueAt_ = engine_.now() + lingerMs;
  setTimed(true);
  watch();
}

void Connection::tick(double now) {
  if (!isTimed_ || now < dueAt_) return;
  if (phase_ == Phase::opening) {
    handBack(DialCause::timeout);
  } else if (!backlog_.isEmpty() || hasToTake(client_)) {
    dueAt_ = now + lingerMs;
  } else {
    part(BrokenBy::nobody, true);
  }
}

void Connection::setTimed(bool isTimed) {
  if (isTimed == isTimed_) return;
  isTimed_ = isTimed;
  engine_.countTimed(isTimed ? 1 : -1);
}

void Connection::buryIfOver() {
  if (hasClient() || isOnLink_ || isBuried_) return;
  isBuried_ = true;
  engine_.bury(*this);
}

}  // namespace engine
