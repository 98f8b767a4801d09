#include "inbox.h"

namespace engine {

Inbox::Inbox(size_t readBytes)
    : capacity_(readBytes + mostPacketBytes), memory_(std::make_unique_for_overwrite<uint8_t[]>(capacity_)) {}

Bytes Inbox::room() {
  const size_t rest = to_ - from_;
  if (from_ > 0 && rest > 0) std::memmove(memory_.get(), memory_.get() + from_, rest);
  from_ = 0;
  to_ = rest;
  return {memory_.get() + to_, capacity_ - to_};
}

Inbox::Next Inbox::next(Bytes& payload) {
  constexpr size_t lengthBytes = 4;
  hasUnseen_ = false;
  while (to_ - from_ >= lengthBytes) {
    uint8_t* packet = memory_.get() + from_;
    const size_t length = get32(packet);
    if (length + lengthBytes + gcmTagBytes > mostPacketBytes) return Next::bad;
    if (length < gcmBlockBytes || length % gcmBlockBytes != 0) return Next::bad;
    if (to_ - from_ < lengthBytes + length + gcmTagBytes) return Next::incomplete;
    if (!gcm_.run(packet, uint32_t(length))) return Next::bad;
    from_ += lengthBytes + length + gcmTagBytes;
    const size_t around = 1 + size_t(packet[4]);
    if (around > length) return Next::bad;
    payload = {packet + 5, length - around};
    if (!payload.empty()) return Next::payload;
  }
  return Next::incomplete;
}

}  // namespace engine
