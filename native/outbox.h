// What is sent on a link: packets are made and sealed one behind the other in memory that is used again, and leave in one call.
// Neighbours: link.h has one, gcm.h seals.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bytes.h"
#include "descriptor.h"
#include "gcm.h"

namespace engine {

/** SSH's packets around a payload (RFC 4253 §6): length, padding length, payload, padding; behind them the tag. */
constexpr size_t packetHeaderBytes = 5;
constexpr size_t mostPaddingBytes = gcmBlockBytes + 3;
constexpr size_t packetOverheadBytes = packetHeaderBytes + mostPaddingBytes + gcmTagBytes;

class Outbox {
 public:
  /** Takes more memory than `capacity` only while it must, and gives it back once everything has left. */
  explicit Outbox(size_t capacity);

  bool setKey(ConstBytes key, ConstBytes nonce) { return gcm_.setKey(key, nonce); }

  /** Memory for the payload of one packet, at most so many bytes; valid until the next call. */
  Bytes begin(size_t most);
  /** Seals the payload whose first bytes were written into what `begin` gave. */
  void finish(size_t payloadBytes);
  /** While it holds, payloads are kept unsealed and in order; afterwards they are sealed with the key of then. */
  void hold(bool holds);

  /** A whole packet with room for its tag, even while it holds. False if its lengths do not fit together, or there is no key. */
  bool sealPacket(ConstBytes packet);

  /** Sends what the kernel takes now. Returns an errno, 0 if all went well. */
  int flush(const Descriptor& socket);

  /** Bytes that wait for the kernel, and what those that are held become when they are sealed, or more. */
  size_t unsent() const { return tail_ - head_ + heldBytes_; }
  /** Sealed bytes that wait for the kernel. */
  bool isEmpty() const { return head_ == tail_; }
  uint64_t written() const { return written_; }
  size_t capacity() const { return capacity_; }

 private:
  uint8_t* reserve(size_t bytes);
  void seal(uint8_t* packet, size_t payloadBytes);
  void pad(uint8_t* at, size_t bytes);

  Gcm gcm_{Direction::seal};
  const size_t least_;
  size_t capacity_;
  std::unique_ptr<uint8_t[]> memory_;
  size_t head_ = 0;
  size_t tail_ = 0;
  bool holds_ = false;
  std::vector<std::vector<uint8_t>> held_;
  size_t heldBytes_ = 0;
  uint64_t written_ = 0;
  uint8_t random_[4096];
  size_t randomUsed_ = sizeof random_;
};

}  // namespace engine
