// What is read from a link: whole packets are opened where they lie, in memory that is used again.
// Neighbours: link.h has one, gcm.h opens.
#pragma once

#include <memory>

#include "bytes.h"
#include "gcm.h"

namespace engine {

/** RFC 4253 §6.1: every implementation must take 35,000 bytes. Ours asks for payloads of 128 KiB (link.h), with what is around them. */
constexpr size_t mostPacketBytes = 128 * 1024 + 1024;

class Inbox {
 public:
  explicit Inbox(size_t readBytes);

  bool setKey(ConstBytes key, ConstBytes nonce) { return gcm_.setKey(key, nonce); }

  /** Where the next read goes. What `next` gave before must not be used any more. */
  Bytes room();
  void took(size_t bytes) { to_ += bytes; }

  /** Bytes that somebody else has read; the caller knows that there is room. */
  void add(ConstBytes bytes) {
    if (bytes.empty()) return;
    std::memcpy(room().data(), bytes.data(), bytes.size());
    took(bytes.size());
    hasUnseen_ = true;
  }
  bool hasUnseen() const { return hasUnseen_; }

  enum class Next {
    payload,
    /** The rest of the next packet is not here. */
    incomplete,
    /** A length that cannot be, a wrong tag, or a padding that is none. */
    bad,
  };
  /** The next payload, valid until `room`; never empty. */
  Next next(Bytes& payload);

  size_t capacity() const { return capacity_; }

 private:
  Gcm gcm_{Direction::open};
  size_t capacity_;
  std::unique_ptr<uint8_t[]> memory_;
  size_t from_ = 0;
  size_t to_ = 0;
  bool hasUnseen_ = false;
};

}  // namespace engine
