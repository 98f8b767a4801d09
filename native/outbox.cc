#include "outbox.h"

#include <cerrno>
#include <cstdlib>

namespace engine {

Outbox::Outbox(size_t capacity)
    : least_(capacity), capacity_(capacity), memory_(std::make_unique_for_overwrite<uint8_t[]>(capacity)) {}

Bytes Outbox::begin(size_t most) {
  uint8_t* packet = reserve(most + packetOverheadBytes);
  return {packet + packetHeaderBytes, most};
}

void Outbox::finish(size_t payloadBytes) {
  uint8_t* packet = memory_.get() + tail_;
  if (holds_) {
    const uint8_t* payload = packet + packetHeaderBytes;
    held_.emplace_back(payload, payload + payloadBytes);
    heldBytes_ += payloadBytes + packetOverheadBytes;
    return;
  }
  seal(packet, payloadBytes);
}

void Outbox::hold(bool holds) {
  holds_ = holds;
  if (holds) return;
  heldBytes_ = 0;
  for (const auto& payload : std::exchange(held_, {})) {
    std::memcpy(begin(payload.size()).data(), payload.data(), payload.size());
    finish(payload.size());
  }
}

bool Outbox::sealPacket(ConstBytes packet) {
  if (packet.size() < 4 + gcmBlockBytes + gcmTagBytes) return false;
  const uint32_t length = get32(packet.data());
  if (length != packet.size() - 4 - gcmTagBytes || length % gcmBlockBytes != 0) return false;
  uint8_t* copy = reserve(packet.size());
  std::memcpy(copy, packet.data(), packet.size() - gcmTagBytes);
  if (!gcm_.run(copy, length)) return false;
  tail_ += packet.size();
  return true;
}

int Outbox::flush(const Descriptor& socket) {
  while (head_ < tail_) {
    const ssize_t sent = send(socket.get(), memory_.get() + head_, tail_ - head_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : errno;
    }
    head_ += size_t(sent);
    written_ += uint64_t(sent);
  }
  head_ = tail_ = 0;
  if (capacity_ > least_) {
    capacity_ = least_;
    memory_ = std::make_unique_for_overwrite<uint8_t[]>(capacity_);
  }
  return 0;
}

uint8_t* Outbox::reserve(size_t bytes) {
  if (bytes > capacity_ - tail_) {
    const size_t waiting = tail_ - head_;
    if (waiting + bytes <= capacity_) {
      std::memmove(memory_.get(), memory_.get() + head_, waiting);
    } else {
      // Only answers to a far side that does not read get here; the link ends before it can go on for long.
      capacity_ = std::max(2 * capacity_, waiting + bytes);
      auto larger = std::make_unique_for_overwrite<uint8_t[]>(capacity_);
      std::memcpy(larger.get(), memory_.get() + head_, waiting);
      memory_ = std::move(larger);
    }
    head_ = 0;
    tail_ = waiting;
  }
  return memory_.get() + tail_;
}

void Outbox::seal(uint8_t* packet, size_t payloadBytes) {
  size_t padding = gcmBlockBytes - (1 + payloadBytes) % gcmBlockBytes;
  if (padding < 4) padding += gcmBlockBytes;
  const size_t length = 1 + payloadBytes + padding;
  put32(packet, uint32_t(length));
  packet[4] = uint8_t(padding);
  pad(packet + packetHeaderBytes + payloadBytes, padding);
  // OpenSSL fails here only if it has no memory; a packet that is not sealed must never leave.
  if (!gcm_.run(packet, uint32_t(length))) std::abort();
  tail_ += 4 + length + gcmTagBytes;
}

void Outbox::pad(uint8_t* at, size_t bytes) {
  if (randomUsed_ + bytes > sizeof random_) {
    fillRandom(random_);
    randomUsed_ = 0;
  }
  std::memcpy(at, random_ + randomUsed_, bytes);
  randomUsed_ += bytes;
}

}  // namespace engine
