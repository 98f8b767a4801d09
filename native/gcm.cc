#include "gcm.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstdlib>

namespace engine {

/** OpenSSL's context; it erases its key when it is freed. */
struct Gcm::Cipher {
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> context{EVP_CIPHER_CTX_new()};
};

Gcm::Gcm(Direction direction) : direction_(direction) {}

Gcm::~Gcm() { OPENSSL_cleanse(nonce_, sizeof nonce_); }

bool Gcm::setKey(ConstBytes key, ConstBytes nonce) {
  hasKey_ = false;
  if ((key.size() != 16 && key.size() != 32) || nonce.size() != gcmNonceBytes) return false;
  cipher_ = std::make_unique<Cipher>();
  EVP_CIPHER_CTX* context = cipher_->context.get();
  if (context == nullptr) return false;
  const EVP_CIPHER* kind = key.size() == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
  const int seals = direction_ == Direction::seal ? 1 : 0;
  if (EVP_CipherInit_ex(context, kind, nullptr, key.data(), nullptr, seals) != 1) return false;
  std::memcpy(nonce_, nonce.data(), gcmNonceBytes);
  hasKey_ = true;
  return true;
}

bool Gcm::run(uint8_t* packet, uint32_t length) {
  if (!hasKey_) return false;
  EVP_CIPHER_CTX* context = cipher_->context.get();
  uint8_t* body = packet + 4;
  uint8_t* tag = body + length;
  const bool seals = direction_ == Direction::seal;
  int done = 0;
  if (EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce_, -1) != 1) return false;
  if (!seals && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, gcmTagBytes, tag) != 1) return false;
  if (EVP_CipherUpdate(context, nullptr, &done, packet, 4) != 1) return false;
  if (EVP_CipherUpdate(context, body, &done, body, int(length)) != 1 || done != int(length)) return false;
  if (EVP_CipherFinal_ex(context, tag, &done) != 1) return false;
  if (seals && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, gcmTagBytes, tag) != 1) return false;
  // RFC 5647 §7.1: the last 8 bytes count the packets.
  for (size_t i = gcmNonceBytes; i-- > 4;) {
    if (++nonce_[i] != 0) break;
  }
  return true;
}

void fillRandom(Bytes bytes) {
  // Without random bytes no packet may be made.
  if (RAND_bytes(bytes.data(), int(bytes.size())) != 1) std::abort();
}

}  // namespace engine
