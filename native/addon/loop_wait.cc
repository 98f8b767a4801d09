#include "loop_wait.h"

#include <fcntl.h>

namespace engine::js {
namespace {

/** Two that wait for one loop would be deaf to each other's sockets. A thread has one loop. */
thread_local bool isTaken = false;

}  // namespace

bool LoopWait::begin(uv_loop_t* loop) {
  if (isTaken) return false;
  Descriptor backend(fcntl(uv_backend_fd(loop), F_DUPFD_CLOEXEC, 0));
  if (!backend || !engine_.poller().watch(*this, backend, EPOLLIN)) return false;
  isTaken = true;
  loop_ = loop;
  backend_ = std::move(backend);
  return true;
}

void LoopWait::end() {
  if (!backend_) return;
  engine_.poller().forget(*this, backend_);
  backend_.close();
  isTaken = false;
}

bool LoopWait::serve() {
  // 0 as well while the kernel does not know of a socket that JavaScript has just begun to watch: libuv tells it when it polls.
  const int timeoutMs = uv_backend_timeout(loop_);
  isDue_ = timeoutMs == 0;
  if (engine_.turn(timeoutMs) == 0) isDue_ = true;
  // What has just been called back may start a timer, and libuv's poll must not be late for one.
  uv_update_time(loop_);
  return !isDue_;
}

}  // namespace engine::js
