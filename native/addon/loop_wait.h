// Waits for the engine's sockets and for libuv's with one call: the engine's epoll instance watches libuv's. The other way round, each socket
// of the engine wakes the thread through two instances, and a round of libuv's loop lies between two waits: 6 to 9 % of a short connection's
// CPU time (docs/benchmarks.md).
// Neighbours: runtime.h has one and runs it before each poll of libuv's, poller.h waits.
#pragma once

#include <uv.h>

#include "../engine.h"

namespace engine::js {

class LoopWait final : public Pollable {
 public:
  explicit LoopWait(Engine& engine) : engine_(engine) {}
  ~LoopWait() { end(); }
  LoopWait(const LoopWait&) = delete;
  LoopWait& operator=(const LoopWait&) = delete;

  /** False if libuv has to wait for the engine: the loop has another one already, or the kernel has no room for one descriptor more. To be called once. */
  bool begin(uv_loop_t* loop);
  /** Idempotent. */
  void end();
  bool isOn() const { return bool(backend_); }

  /**
   * Serves what is ready of the engine's, after a wait if libuv would wait now. False once libuv has something to do: a socket of its own, a timer,
   * whatever was begun meanwhile, or JavaScript was called. To be called between libuv's timers and its poll, which must not wait itself then.
   */
  bool serve();

  void ready(uint32_t) override {
    isDue_ = true;
    engine_.hurry();
  }

  /** JavaScript was called: it may have left what only a round of the loop does and libuv's timeout does not show, as immediates without a reference and work for another engine. */
  void called() { isDue_ = true; }

 private:
  Engine& engine_;
  uv_loop_t* loop_ = nullptr;
  /** libuv's epoll instance, by a number of our own. */
  Descriptor backend_;
  bool hasBegun_ = false;
  bool isDue_ = false;
};

}  // namespace engine::js
