// What a link sends: messages of channels, the gate before which clients wait, and the socket. See link.h.
#include "engine.h"
#include "link.h"

namespace engine {
namespace {

/** With so much unsent clients are not read, and our keep-alives are less than 0.3 s late at 8 Mbit/s: transmit-gate.ts. */
constexpr size_t gateBytes = 256 * 1024;
/** More than our own messages can be: streams wait at a quarter of it. The outbox has room for twice that at most. */
constexpr size_t mostUnsent = 1024 * 1024;

}  // namespace

void Link::finish(size_t bytes) {
  outbox_->finish(bytes);
  finished();
}

void Link::finished() {
  const size_t unsent = outbox_->unsent();
  cells_[linkCell::unsent] = double(unsent);
  if (unsent >= gateBytes) isOver_ = true;
  engine_.touch(*this);
}

void Link::send(uint8_t type, uint32_t channel) {
  if (isLost_) return;
  Writer message(begin(5));
  message.u8(type);
  message.u32(channel);
  finish(message.size());
}

void Link::refuse(uint32_t channel) {
  send(message::failure, channel);
  // Here, because one round may bring more questions than all of our memory could answer.
  if (!isLost_ && outbox_->unsent() > mostUnsent && write() && outbox_->unsent() > mostUnsent) end(Loss::unread);
}

void Link::sendAdjust(uint32_t channel, uint32_t bytes) {
  if (isLost_) return;
  Writer message(begin(9));
  message.u8(message::windowAdjust);
  message.u32(channel);
  message.u32(bytes);
  finish(message.size());
}

bool Link::write() {
  if (isBlocked_) return true;
  const int error = outbox_->flush(socket_);
  if (error != 0) {
    end(Loss::broken, error);
    return false;
  }
  isBlocked_ = !outbox_->isEmpty();
  const size_t unsent = outbox_->unsent();
  cells_[linkCell::bytesWritten] = double(outbox_->written());
  cells_[linkCell::unsent] = double(unsent);
  if (isOver_ && unsent < gateBytes) {
    isOver_ = false;
    isDrained_ = true;
    engine_.changed(*this);
  }
  return true;
}

void Link::flush() {
  if (isReading_ && !isLost_ && inbox_->hasUnseen()) {
    takePackets();
    engine_.endBatch();
  }
  if (isLost_ || !write()) return;
  if (outbox_->unsent() > mostUnsent) {
    end(Loss::unread);
    return;
  }
  if (!watch()) return;
  while (!waiting_.empty() && !isLost_ && makeRoom()) {
    Connection* next = waiting_.front();
    waiting_.pop_front();
    next->waitsForLink = false;
    next->readClient();
  }
}

bool Link::makeRoom() {
  if (isExchanging_) return false;
  if (outbox_->unsent() < gateBytes) return true;
  return write() && outbox_->unsent() < gateBytes;
}

void Link::waitForRoom(Connection& connection) {
  if (connection.waitsForLink || isLost_) return;
  connection.waitsForLink = true;
  waiting_.push_back(&connection);
}

}  // namespace engine
