#include "link.h"

#include <cerrno>

#include "engine.h"

namespace engine {
namespace {

/** Several packets, so that many leave for one client in one call. */
constexpr size_t readBytes = 256 * 1024;
/** Reads in a row before others get their turn. */
constexpr int readsInRow = 4;
/** Twice what may wait until clients are read no more (link_send.cc). */
constexpr size_t outboxBytes = 512 * 1024;
/** So much within so many milliseconds is a transfer that fills the link. */
constexpr size_t bulkBytes = 512 * 1024;
constexpr double bulkMs = 4;
/**
 * Then several packets at once wake us, a quarter of the window near by: each wake-up costs as much as a packet, and so do the messages and
 * the wake-ups of others that follow from it.
 */
constexpr int wakeBytes = 256 * 1024;
/** The transfer is over after so many milliseconds with less than this. */
constexpr size_t quietBytes = 64 * 1024;
constexpr int mostQuietPulses = 4;
/** Of second data streams, which no forwarded channel has. */
constexpr uint64_t mostExtendedBytes = 16 * 1024 * 1024;

double noCells[linkCell::length];

}  // namespace

Link::Link(Engine& engine, Descriptor socket, double* cells, uint32_t maxChannels, std::unique_ptr<LinkEvents> events)
    : engine_(engine),
      events_(std::move(events)),
      socket_(std::move(socket)),
      cells_(cells),
      maxChannels_(maxChannels),
      inbox_(std::make_unique<Inbox>(readBytes)),
      outbox_(std::make_unique<Outbox>(outboxBytes)) {
  engine_.budget().take(int64_t(inbox_->capacity() + outboxBytes));
}

Link::~Link() = default;

bool Link::setSendKey(ConstBytes key, ConstBytes nonce) {
  if (isLost_) return true;
  if (!outbox_->setKey(key, nonce)) return false;
  lacksSendKey_ = false;
  isExchanging_ = false;
  cells_[linkCell::exchangingKeys] = 0;
  outbox_->hold(false);
  finished();
  return true;
}

bool Link::setReceiveKey(ConstBytes key, ConstBytes nonce) {
  if (isLost_) return true;
  ++receiveKeys_;
  return inbox_->setKey(key, nonce);
}

bool Link::sealPacket(ConstBytes packet) {
  if (isLost_) return true;
  if (packet.size() <= packetHeaderBytes) return false;
  if (lacksSendKey_) {
    end(Loss::keys);
    return true;
  }
  const uint8_t type = packet[packetHeaderBytes];
  if (!outbox_->sealPacket(packet)) return false;
  if (type == message::keyExchangeInit) {
    // RFC 4253 §7.1: nothing of a channel may follow before NEWKEYS.
    isExchanging_ = true;
    cells_[linkCell::exchangingKeys] = 1;
    outbox_->hold(true);
  } else if (type == message::newKeys) {
    lacksSendKey_ = true;
  }
  finished();
  return true;
}

bool Link::start(ConstBytes early) {
  if (isLost_) return true;
  if (isReading_ || early.size() > readBytes) return false;
  isReading_ = true;
  inbox_->add(early);
  watch();
  // They are taken from the event loop, as all payloads.
  if (!early.empty()) engine_.touch(*this);
  return true;
}

bool Link::watch() {
  const uint32_t in = isReading_ ? uint32_t(EPOLLIN) : 0u;
  const uint32_t out = isBlocked_ ? uint32_t(EPOLLOUT) : 0u;
  if (engine_.poller().watch(*this, socket_, in | out)) return true;
  end(Loss::broken, errno);
  return false;
}

void Link::push() {
  if (!isLost_) write();
}

void Link::close() {
  isClosed_ = true;
  if (isLost_) return;
  // What ssh2 said last, and the ends of channels; the kernel takes it or not.
  outbox_->flush(socket_);
  detach();
}

void Link::end(Loss loss, int error) {
  if (isLost_) return;
  engine_.tell(Engine::LinkLost{shared_from_this(), loss, error});
  detach();
}

void Link::detach() {
  isLost_ = true;
  // Node has the socket as well: closing ours would not take it out.
  engine_.poller().forget(*this, socket_);
  socket_.close();
  const auto channels = std::exchange(channels_, {});
  waiting_.clear();
  for (const auto& [id, connection] : channels) connection->linkEnded();
  cells_[linkCell::channels] = cells_[linkCell::opening] = cells_[linkCell::unsent] = 0;
  engine_.budget().giveBack(int64_t(inbox_->capacity() + outboxBytes));
  engine_.tell(Engine::LinkReleased{shared_from_this()});
}

void Link::tellLost(Loss loss, int error) {
  if (!isClosed_) events_->lost(loss, error);
}

void Link::release() {
  cells_ = noCells;
  // A client that still takes the end of its answer keeps the link.
  inbox_.reset();
  outbox_.reset();
  events_->released();
}

void Link::ready(uint32_t events) {
  if (isLost_) return;
  if (isReading_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
  if (isLost_ || (events & EPOLLOUT) == 0) return;
  isBlocked_ = false;
  engine_.touch(*this);
}

void Link::read() {
  for (int i = 0; i < readsInRow && !isLost_; ++i) {
    const Bytes room = inbox_->room();
    const ssize_t got = recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) end(Loss::broken, errno);
      return;
    }
    if (got == 0) {
      end(Loss::closed);
      return;
    }
    cells_[linkCell::bytesRead] += double(got);
    noteBulk(size_t(got));
    inbox_->took(size_t(got));
    const bool goesOn = takePackets();
    engine_.endBatch();
    if (!goesOn || size_t(got) < room.size()) return;
  }
}

void Link::noteBulk(size_t bytes) {
  recentBytes_ += bytes;
  if (isBulk_) return;
  const double now = engine_.now();
  if (now - recentSince_ > bulkMs) {
    recentSince_ = now;
    recentBytes_ = 0;
  }
  // Without the pulse the last bytes of a transfer would wake nobody.
  if (recentBytes_ < bulkBytes || !engine_.startPulse()) return;
  isBulk_ = true;
  quietPulses_ = 0;
  recentBytes_ = 0;
  wakeAt(wakeBytes);
}

bool Link::pulse() {
  if (!isBulk_ || isLost_) return false;
  // So many bytes did not come together: whatever is there is taken now.
  if (recentBytes_ == 0) read();
  if (isLost_) return false;
  quietPulses_ = recentBytes_ < quietBytes ? quietPulses_ + 1 : 0;
  recentBytes_ = 0;
  if (quietPulses_ < mostQuietPulses) return true;
  isBulk_ = false;
  wakeAt(1);
  return false;
}

void Link::wakeAt(int bytes) {
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

bool Link::takePackets() {
  Bytes payload;
  while (!isLost_) {
    switch (inbox_->next(payload)) {
      case Inbox::Next::incomplete:
        return true;
      case Inbox::Next::bad:
        end(Loss::packet);
        return false;
      case Inbox::Next::payload:
        takePayload(payload);
    }
  }
  return false;
}

void Link::takePayload(ConstBytes payload) {
  const uint8_t type = payload[0];
  Reader message(payload.subspan(1));
  if (type > message::open && type <= message::failure) {
    const uint32_t id = message.u32();
    if (message.ok() && id >= firstChannelId) {
      const auto found = channels_.find(id);
      // Of a channel that is closed on both sides nothing may come; nobody minds.
      if (found != channels_.end() && !found->second->take(type, message)) end(Loss::packet);
      return;
    }
  }
  const uint32_t keysBefore = receiveKeys_;
  events_->payload(payload);
  if (type == message::newKeys && receiveKeys_ == keysBefore) end(Loss::keys);
}

bool Link::takesDials() const {
  return !isLost_ && !isExchanging_ && !lacksSendKey_ && isReading_ && load() < maxChannels_;
}

uint32_t Link::load() const { return uint32_t(channels_.size()) + uint32_t(cells_[linkCell::ownChannels]); }

uint32_t Link::freeId() {
  while (channels_.contains(nextId_)) nextId_ = nextId_ == UINT32_MAX ? firstChannelId : nextId_ + 1;
  const uint32_t id = nextId_;
  nextId_ = nextId_ == UINT32_MAX ? firstChannelId : nextId_ + 1;
  return id;
}

void Link::dial(Connection& connection, std::string_view type, ConstBytes tail) {
  const uint32_t id = freeId();
  connection.setId(id);
  channels_.emplace(id, &connection);
  Writer message(begin(32 + type.size() + tail.size()));
  message.u8(message::open);
  message.string(type);
  message.u32(id);
  message.u32(uint32_t(connection.firstWindow()));
  message.u32(takenPayloadBytes);
  message.bytes(tail);
  finish(message.size());
  cells_[linkCell::channels] = double(channels_.size());
  countOpening(1);
  if (!wasBusy_) engine_.changed(*this);
}

void Link::countOpening(int change) { cells_[linkCell::opening] += change; }

void Link::forget(Connection& connection) {
  if (connection.waitsForLink) std::erase(waiting_, &connection);
  if (isLost_) return;
  channels_.erase(connection.id());
  cells_[linkCell::channels] = double(channels_.size());
  if (channels_.empty()) engine_.changed(*this);
}

bool Link::countExtended(uint32_t bytes) {
  extendedBytes_ += bytes;
  return extendedBytes_ <= mostExtendedBytes;
}

void Link::tellChanges() {
  if (isLost_) return;
  if (std::exchange(isDrained_, false)) events_->drained();
  if (isLost_) return;
  const bool isBusy = !channels_.empty();
  if (isBusy == wasBusy_) return;
  wasBusy_ = isBusy;
  events_->busy(isBusy);
}

}  // namespace engine
