#include "loop_wait.h"

#include <fcntl.h>

#include <utility>

namespace engine::js {
namespace {

/**
 * How many engines the thread has, and so its loop. Only the first may wait: two would be deaf to each other's sockets, and libuv prepares the
 * newest first: a younger one would wait before what the others were asked for has left.
 */
thread_local int begun = 0;

}  // namespace

bool LoopWait::begin(uv_loop_t* loop) {
  hasBegun_ = true;
  if (begun++ > 0) return false;
  Descriptor backend(fcntl(uv_backend_fd(loop), F_DUPFD_CLOEXEC, 0));
  if (!backend || !engine_.poller().watch(*this, backend, EPOLLIN)) return false;
  loop_ = loop;
  backend_ = std::move(backend);
  return true;
}

void LoopWait::end() {
  if (!std::exchange(hasBegun_, false)) return;
  --begun;
  if (!backend_) return;
  engine_.poller().forget(*this, backend_);
  backend_.close();
}

bool LoopWait::serve() {
  // 0 as well while the kernel does not know of a socket that JavaScript has just begun to watch: libuv tells it when it polls.
  const int timeoutMs = isDue_ ? 0 : uv_backend_timeout(loop_);
  if (timeoutMs == 0) isDue_ = true;
  if (engine_.turn(timeoutMs) == 0) isDue_ = true;
  // What has just been called back may start a timer, and libuv's poll must not be late for one.
  uv_update_time(loop_);
  return !std::exchange(isDue_, false);
}

}  // namespace engine::js
