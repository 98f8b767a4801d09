// An engine in Node's event loop. It runs before each poll of the loop: what timers, promises and callbacks asked for leaves then, and then it
// waits, for its own sockets and for libuv's. Where that cannot be, libuv waits, and the engine runs when its epoll instance is readable too.
// Neighbours: addon.cc makes one for each engine of JavaScript; js_link.h and js_listener.h call back through it; loop_wait.h waits.
#pragma once

#include <uv.h>

#include <memory>

#include "../engine.h"
#include "js.h"
#include "loop_wait.h"

namespace engine::js {

class Runtime : public std::enable_shared_from_this<Runtime> {
 public:
  /** Null, and errno says why, if the kernel gives no epoll instance or does not watch it. */
  static std::shared_ptr<Runtime> start(napi_env env, Cells budget, double total);
  Runtime(napi_env env, Cells budget, double total);
  ~Runtime();

  napi_env env() const { return env_; }
  Engine& engine() { return engine_; }
  bool isClosed() const { return engine_.isClosed(); }

  /** Calls back with an empty stack below it, and what it left in the queues of promises and ticks. False after the end, of this or of JavaScript: nobody was called. */
  bool call(const Reference& function, std::initializer_list<napi_value> arguments);

  /** Something was asked of the engine: it may need its timer, or the loop's patience. */
  void asked();
  /** Nothing is called back any more. What libuv holds is given back after the present round, or the next. */
  void close();

 private:
  struct Handles;

  bool begin();
  void prepared();
  void afterRound();
  void finish();

  napi_env env_;
  Cells budget_;
  Engine engine_;
  LoopWait wait_{engine_};
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  /** They live until libuv has closed them, and keep this alive until then. */
  Handles* handles_ = nullptr;
  bool isStopped_ = false;
};

}  // namespace engine::js
