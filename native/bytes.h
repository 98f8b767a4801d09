// Numbers and strings of the ssh protocol (RFC 4251 §5), each read and written with one check of its bounds.
// Neighbours: link.cc and connection_channel.cc read what was decrypted, outbox.h writes what is to be sent.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace engine {

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

inline void put32(uint8_t* at, uint32_t value) {
  at[0] = uint8_t(value >> 24);
  at[1] = uint8_t(value >> 16);
  at[2] = uint8_t(value >> 8);
  at[3] = uint8_t(value);
}

inline uint32_t get32(const uint8_t* at) {
  return uint32_t(at[0]) << 24 | uint32_t(at[1]) << 16 | uint32_t(at[2]) << 8 | at[3];
}

/** Reads one payload from its begin to its end. Once something is missing, `ok` is false and everything read is 0 or empty. */
class Reader {
 public:
  explicit Reader(ConstBytes bytes) : bytes_(bytes) {}

  uint8_t u8() {
    const ConstBytes one = take(1);
    return one.empty() ? 0 : one[0];
  }

  uint32_t u32() {
    const ConstBytes four = take(4);
    return four.empty() ? 0 : get32(four.data());
  }

  ConstBytes string() { return take(u32()); }

  bool ok() const { return ok_; }

 private:
  ConstBytes take(size_t count) {
    if (!ok_ || count > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const ConstBytes taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  ConstBytes bytes_;
  bool ok_ = true;
};

/** Writes into memory of a known size. What has no room is not written, and `ok` is false from then on. */
class Writer {
 public:
  explicit Writer(Bytes room) : room_(room) {}

  void u8(uint8_t value) {
    if (uint8_t* at = take(1)) *at = value;
  }

  void u32(uint32_t value) {
    if (uint8_t* at = take(4)) put32(at, value);
  }

  void bytes(ConstBytes value) {
    if (value.empty()) return;
    if (uint8_t* at = take(value.size())) std::memcpy(at, value.data(), value.size());
  }

  void string(std::string_view value) {
    u32(uint32_t(value.size()));
    bytes({reinterpret_cast<const uint8_t*>(value.data()), value.size()});
  }

  bool ok() const { return ok_; }
  size_t size() const { return used_; }

 private:
  uint8_t* take(size_t count) {
    if (!ok_ || count > room_.size() - used_) {
      ok_ = false;
      return nullptr;
    }
    uint8_t* at = room_.data() + used_;
    used_ += count;
    return at;
  }

  Bytes room_;
  size_t used_ = 0;
  bool ok_ = true;
};

}  // namespace engine
