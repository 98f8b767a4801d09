// Which sockets are ready: one epoll instance for everything of an engine.
// Neighbours: engine.cc asks it, whatever has a socket derives from Pollable.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <vector>

#include "descriptor.h"

namespace engine {

/** Has one socket that an engine watches. */
class Pollable {
 public:
  /** The socket is ready for `events`, or was when the round began. */
  virtual void ready(uint32_t events) = 0;

 protected:
  ~Pollable() = default;

 private:
  friend class Poller;
  uint32_t watched_ = 0;
  uint32_t slot_ = 0;
  bool isAdded_ = false;
};

class Poller {
 public:
  explicit Poller(double (*clock)()) : clock_(clock), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  /** Readable while something is ready; -1 if there is none. */
  int descriptor() const { return epoll_.get(); }

  /** Errors and a hang-up are reported whatever `events` says. False, and errno says why, if the kernel has no memory for it: nothing is reported. */
  bool watch(Pollable& who, const Descriptor& socket, uint32_t events);

  /** Nothing is reported any more. Call it before the socket is given away. */
  void forget(Pollable& who, const Descriptor& socket);

  /** The same for a socket that is closed now: the kernel forgets it then, or once no process that was just forked has it any more. */
  void forgetClosed(Pollable& who);

  /** Nothing is watched any more, and nothing can be. */
  void close() { epoll_.close(); }

  /** Tells whoever is ready, after a wait of at most `timeoutMs` (-1: for ever) until somebody is. Returns how many were. */
  int serve(int timeoutMs = 0);

  /** How long it waited, in all. */
  double waitedMs() const { return waitedMs_; }

 private:
  /**
   * The kernel keeps a number, not a pointer: what it reports of a socket that was forgotten finds nobody, in the same round and in any later
   * one.
   */
  struct Slot {
    Pollable* who = nullptr;
    uint32_t generation = 0;
  };

  double (*const clock_)();
  Descriptor epoll_;
  double waitedMs_ = 0;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace engine
