// A millisecond's beat while a transfer fills a link: SO_RCVLOWAT lets the kernel wake us for several packets at once, and the beat takes what
// is less. Neighbours: engine.h has one, link.cc says when.
#pragma once

#include <sys/timerfd.h>

#include <functional>

#include "poller.h"

namespace engine {

class Pulse final : public Pollable {
 public:
  /** `beat` returns false once nobody needs it any more. */
  Pulse(Poller& poller, std::function<bool()> beat)
      : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)), beat_(std::move(beat)) {
    if (timer_ && !poller.watch(*this, timer_, EPOLLIN)) timer_.close();
  }

  /** False if there was no descriptor left for it. */
  bool start() { return timer_ && set(1'000'000); }

  /** There is no beat any more. */
  void close() { timer_.close(); }

  void ready(uint32_t) override {
    uint64_t beats = 0;
    if (read(timer_.get(), &beats, sizeof beats) == ssize_t(sizeof beats) && !beat_()) set(0);
  }

 private:
  bool set(long nanoseconds) {
    const itimerspec every{{0, nanoseconds}, {0, nanoseconds}};
    return timerfd_settime(timer_.get(), 0, &every, nullptr) == 0;
  }

  Descriptor timer_;
  const std::function<bool()> beat_;
};

}  // namespace engine
