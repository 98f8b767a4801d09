// Which sockets are ready: one epoll instance for everything of an engine.
// Neighbours: engine.cc asks it, whatever has a socket derives from Pollable.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "descriptor.h"

namespace engine {

/** Has one socket that an engine watches. It must outlive the round in which it was watched last (engine.h: `bury`). */
class Pollable {
 public:
  /** The socket is ready for `events`, or was when the round began: it may be gone since. */
  virtual void ready(uint32_t events) = 0;

 protected:
  ~Pollable() = default;

 private:
  friend class Poller;
  uint32_t watched_ = 0;
  bool isAdded_ = false;
};

class Poller {
 public:
  Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  /** Readable while something is ready; -1 if there is none. */
  int descriptor() const { return epoll_.get(); }

  /** Errors and a hang-up are reported whatever `events` says. */
  void watch(Pollable& who, const Descriptor& socket, uint32_t events);

  /** Nothing is reported any more. Call it before the socket is closed or given away. */
  void forget(Pollable& who, const Descriptor& socket);

  /** Tells whoever is ready now; does not wait. False if there may be more. */
  bool serve();

 private:
  Descriptor epoll_;
};

}  // namespace engine
