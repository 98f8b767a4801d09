#include "window.h"

#include <cmath>

namespace engine {
namespace {

constexpr int64_t KiB = 1024;
constexpr int64_t minWindowBytes = 16 * KiB;
constexpr int64_t maxWindowBytes = 8 * 1024 * KiB;
constexpr int64_t nearWindowBytes = 512 * KiB;
constexpr int64_t nearStepBytes = 256 * KiB;
constexpr int64_t unknownWindowBytes = 2 * 1024 * KiB;
constexpr double bytesPerMs = 160'000;
constexpr double growWithinMs = 1000;

}  // namespace

int64_t windowFor(double roundTripMs) {
  if (std::isnan(roundTripMs)) return unknownWindowBytes;
  const double needed = std::ceil(2 * roundTripMs * bytesPerMs);
  return int64_t(std::clamp(needed, double(nearWindowBytes), double(maxWindowBytes)));
}

InboundWindow::InboundWindow(Budget& budget, double now) : budget_(budget), windowBegan_(now) {
  const double share = budget.free() / budget.total();
  target_ = share > 0.75 ? 8 * minWindowBytes : share > 0.5 ? 4 * minWindowBytes : minWindowBytes;
  grant(target_);
}

bool InboundWindow::received(int64_t bytes) {
  if (bytes > granted_) return false;
  granted_ -= bytes;
  buffered_ += bytes;
  return true;
}

int64_t InboundWindow::consumed(int64_t bytes, double now, double roundTripMs) {
  if (released_) return 0;
  buffered_ -= bytes;
  budget_.giveBack(bytes);
  followNeed(bytes, now, roundTripMs);
  const int64_t held = granted_ + buffered_;
  const double allowed = std::max(budget_.spare() / 4, double(minWindowBytes - held));
  const auto bytesToGrant = int64_t(std::floor(std::min(double(target_ - held), allowed)));
  if (bytesToGrant <= 0) return 0;
  const double step = std::max(double(target_) / 10, std::min(double(target_) / 4, double(nearStepBytes)));
  if (double(bytesToGrant) < step && granted_ > minWindowBytes / 2) return 0;
  grant(bytesToGrant);
  return bytesToGrant;
}

void InboundWindow::release() {
  if (released_) return;
  released_ = true;
  budget_.giveBack(granted_ + buffered_);
  granted_ = 0;
  buffered_ = 0;
}

void InboundWindow::grant(int64_t bytes) {
  granted_ += bytes;
  budget_.take(bytes);
}

void InboundWindow::followNeed(int64_t bytes, double now, double roundTripMs) {
  consumedOfWindow_ += bytes;
  if (consumedOfWindow_ < target_) return;
  if (now - windowBegan_ < growWithinMs && buffered_ < target_ / 2) {
    const bool isPlentiful = budget_.spare() > budget_.total() / 2;
    const int64_t needed = windowFor(roundTripMs);
    target_ = isPlentiful ? needed : std::min(needed, target_ * 2);
  }
  consumedOfWindow_ = 0;
  windowBegan_ = now;
}

}  // namespace engine
