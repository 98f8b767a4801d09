// Takes the place of gcm.cc in the tests: packets stay readable, but a wrong key, a packet out of order or a changed byte is found all the same.
#include <vector>

#include "../gcm.h"

namespace engine {

struct Gcm::Cipher {
  std::vector<uint8_t> key;
};

Gcm::Gcm(Direction direction) : direction_(direction) {}
Gcm::~Gcm() = default;

bool Gcm::setKey(ConstBytes key, ConstBytes nonce) {
  hasKey_ = (key.size() == 16 || key.size() == 32) && nonce.size() == gcmNonceBytes;
  if (!hasKey_) return false;
  cipher_ = std::make_unique<Cipher>();
  cipher_->key.assign(key.begin(), key.end());
  std::memcpy(nonce_, nonce.data(), gcmNonceBytes);
  return true;
}

bool Gcm::run(uint8_t* packet, uint32_t length) {
  if (!hasKey_) return false;
  uint64_t sum = 0;
  for (const uint8_t byte : cipher_->key) sum = sum * 31 + byte;
  for (const uint8_t byte : nonce_) sum = sum * 31 + byte;
  for (uint32_t i = 0; i < 4 + length; ++i) sum = sum * 31 + packet[i];
  uint8_t tag[gcmTagBytes] = {};
  std::memcpy(tag, &sum, sizeof sum);
  if (direction_ == Direction::seal) {
    std::memcpy(packet + 4 + length, tag, gcmTagBytes);
  } else if (std::memcmp(packet + 4 + length, tag, gcmTagBytes) != 0) {
    return false;
  }
  for (size_t i = gcmNonceBytes; i-- > 4;) {
    if (++nonce_[i] != 0) break;
  }
  return true;
}

void fillRandom(Bytes bytes) { std::memset(bytes.data(), 0xaa, bytes.size()); }

}  // namespace engine
