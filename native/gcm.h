// AES-GCM as ssh uses it (RFC 5647): a packet's length is authenticated only, the rest is encrypted where it lies, and each packet has the
// next value of a counter in its nonce.
// Neighbours: outbox.h seals what is sent, inbox.h opens what was read. test/plain_gcm.cc takes the place of gcm.cc in tests without OpenSSL.
#pragma once

#include <cstdint>
#include <memory>

#include "bytes.h"

namespace engine {

constexpr size_t gcmTagBytes = 16;
constexpr size_t gcmBlockBytes = 16;
constexpr size_t gcmNonceBytes = 12;

enum class Direction { seal, open };

class Gcm {
 public:
  explicit Gcm(Direction direction);
  ~Gcm();
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;

  /** A key of 16 or 32 bytes and the nonce of the next packet. False if they are of another length, or OpenSSL has no such cipher. */
  bool setKey(ConstBytes key, ConstBytes nonce);

  bool hasKey() const { return hasKey_; }

  /**
   * Seals or opens one packet where it lies: its length (4 bytes), so many bytes, and a tag. The caller has checked that all of it is there.
   * False if the tag is wrong: then nothing of the packet may be used.
   */
  bool run(uint8_t* packet, uint32_t length);

 private:
  struct Cipher;
  std::unique_ptr<Cipher> cipher_;
  const Direction direction_;
  uint8_t nonce_[gcmNonceBytes] = {};
  bool hasKey_ = false;
};

/** Random bytes for padding. */
void fillRandom(Bytes bytes);

}  // namespace engine
