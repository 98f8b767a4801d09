// What the far side says about a connection's channel (RFC 4254 §5), and what we say. See connection.h.
#include <algorithm>

#include "connection.h"
#include "engine.h"
#include "link.h"
#include "listener.h"

namespace engine {
namespace {

constexpr size_t mostTextBytes = 200;

/** The far side's words without what could move a cursor. */
std::string printable(ConstBytes bytes) {
  const ConstBytes first = bytes.first(std::min(bytes.size(), mostTextBytes));
  std::string text(first.begin(), first.end());
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

}  // namespace

bool Connection::take(uint8_t type, Reader& message_) {
  switch (type) {
    case message::openConfirmation:
      return opened(message_);
    case message::openFailure:
      return refused(message_);
    case message::windowAdjust:
      return adjusted(message_);
    case message::data:
      return data(message_);
    case message::extendedData:
      return extendedData(message_);
    case message::request:
      return asked(message_);
    case message::eof:
      ended();
      return true;
    case message::close:
      closed();
      return true;
    default:
      // Answers to requests: we make none.
      return true;
  }
}

bool Connection::opened(Reader& message_) {
  const uint32_t remote = message_.u32();
  const uint32_t window = message_.u32();
  const uint32_t mostPacket = message_.u32();
  if (!message_.ok()) return false;
  if (phase_ != Phase::opening) return true;
  if (mostPacket == 0) {
    link_->end(Loss::noPacket);
    return true;
  }
  phase_ = Phase::open;
  remote_ = remote;
  outWindow_ = window;
  mostSent_ = std::min(mostPacket, sentPayloadBytes);
  if (!hasClient()) {
    // Given up meanwhile.
    sendClose();
    return true;
  }
  endDial(true, true);
  readClient();
  return true;
}

bool Connection::refused(Reader& message_) {
  const uint32_t reason = message_.u32();
  const ConstBytes text = message_.string();
  if (!message_.ok()) return false;
  if (phase_ != Phase::opening) return true;
  handBack(DialCause::refused, reason, printable(text));
  phase_ = Phase::farClosed;
  leaveLink();
  return true;
}

bool Connection::data(Reader& message_) {
  const ConstBytes bytes = message_.string();
  if (!message_.ok()) return false;
  // Sent before the far side saw our close, or after its own end: dropped, and never credited.
  if (phase_ != Phase::open || farEnded_ || !hasClient() || bytes.empty()) return true;
  if (!window_.received(int64_t(bytes.size()))) {
    link_->end(Loss::window);
    return true;
  }
  toClient_ += bytes.size();
  listener_->countBytes(listenerCell::toClient, bytes.size());
  batch_.push_back({const_cast<uint8_t*>(bytes.data()), bytes.size()});
  engine_.addToBatch(*this);
  return true;
}

bool Connection::extendedData(Reader& message_) {
  message_.u32();
  const ConstBytes bytes = message_.string();
  if (!message_.ok()) return false;
  const auto count = uint32_t(bytes.size());
  if (!link_->countExtended(count)) {
    link_->end(Loss::flood);
    return true;
  }
  if (phase_ != Phase::open || !hasClient()) return true;
  if (window_.received(count)) {
    consumed(count);
  } else {
    link_->end(Loss::window);
  }
  return true;
}

bool Connection::adjusted(Reader& message_) {
  const uint32_t bytes = message_.u32();
  if (!message_.ok()) return false;
  if (phase_ != Phase::open) return true;
  // RFC 4254 §5.2 allows no more; a sum beyond it would overflow in the end.
  outWindow_ = std::min<int64_t>(outWindow_ + bytes, UINT32_MAX);
  if (hasClient() && !waitsForLink && !clientEnded_) readClient();
  return true;
}

bool Connection::asked(Reader& message_) {
  message_.string();
  const bool wantsAnswer = message_.u8() != 0;
  if (!message_.ok()) return false;
  // Such as sshd's keep-alive: any answer is one.
  if (wantsAnswer && phase_ == Phase::open && !closeSent_) link_->refuse(remote_);
  return true;
}

void Connection::ended() {
  if (phase_ != Phase::open || farEnded_ || !hasClient()) return;
  farEnded_ = true;
  if (eofSent_) sendClose();
  // Else after what this read brought.
  if (!isInBatch) shutIfDue();
}

void Connection::closed() {
  if (phase_ != Phase::open) return;
  phase_ = Phase::farClosed;
  sendClose();
  if (!farEnded_) {
    part(BrokenBy::destination);
  } else if (hasClient() && !clientEnded_) {
    linger();
  }
  leaveLink();
}

void Connection::linkEnded() {
  // The client only has to take what was sent to it, which needs no session. (A channel that the far side has closed is the link's no more.)
  const bool isWhole = farEnded_ && eofSent_;
  if (phase_ == Phase::opening) {
    handBack(DialCause::lost);
  } else if (!isWhole) {
    part(BrokenBy::session);
  }
  waitsForLink = false;
  isOnLink_ = false;
  phase_ = Phase::farClosed;
  buryIfOver();
}

void Connection::leaveLink() {
  link_->forget(*this);
  isOnLink_ = false;
  buryIfOver();
}

void Connection::endDial(bool isCounted, bool isSuccess) {
  setTimed(false);
  link_->countOpening(-1);
  if (isCounted) listener_->dialled(engine_.now() - beganAt_, isSuccess);
}

void Connection::consumed(int64_t bytes) {
  const int64_t grant = window_.consumed(bytes, engine_.now(), link_->roundTripMs());
  // After its end the far side sends nothing more: a grant would be useless.
  if (grant > 0 && phase_ == Phase::open && !farEnded_ && !closeSent_) link_->sendAdjust(remote_, uint32_t(grant));
}

void Connection::sendEof() {
  if (eofSent_ || phase_ != Phase::open || closeSent_) return;
  eofSent_ = true;
  link_->send(message::eof, remote_);
  if (farEnded_) sendClose();
}

void Connection::sendClose() {
  if (closeSent_ || phase_ == Phase::opening) return;
  closeSent_ = true;
  link_->send(message::close, remote_);
}

}  // namespace engine
