#include "runtime.h"

#include <cerrno>

namespace engine::js {

/** libuv's handles, freed by the last of their own callbacks. */
struct Runtime::Handles {
  uv_prepare_t prepare;
  uv_timer_t timer;
  /** Of these it has one. While `idle` is active libuv's poll does not wait: the engine has done so. */
  uv_idle_t idle;
  uv_poll_t poll;
  bool waits = false;
  int open = 3;
  std::shared_ptr<Runtime> runtime;

  static void close(Handles* self) {
    const auto closed = [](uv_handle_t* handle) {
      auto* all = static_cast<Handles*>(handle->data);
      if (--all->open > 0) return;
      // Not with the engine's memory: objects of JavaScript hold that until they are collected.
      all->runtime->engine_.closeDescriptors();
      const auto hook = all->runtime->hook_;
      std::unique_ptr<Handles>(all).reset();
      napi_remove_async_cleanup_hook(hook);
    };
    uv_close(reinterpret_cast<uv_handle_t*>(&self->prepare), closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&self->timer), closed);
    uv_close(self->waits ? reinterpret_cast<uv_handle_t*>(&self->idle) : reinterpret_cast<uv_handle_t*>(&self->poll), closed);
  }
};

std::shared_ptr<Runtime> Runtime::start(napi_env env, Cells budget, double total) {
  auto runtime = std::make_shared<Runtime>(env, std::move(budget), total);
  if (runtime->engine_.descriptor() < 0 || !runtime->begin()) return nullptr;
  return runtime;
}

Runtime::Runtime(napi_env env, Cells budget, double total)
    : env_(env), budget_(std::move(budget)), engine_(Budget(budget_.data, total)) {}

Runtime::~Runtime() = default;

bool Runtime::begin() {
  uv_loop_t* loop = nullptr;
  must(napi_get_uv_event_loop(env_, &loop));
  auto handles = std::make_unique<Handles>();
  Handles& all = *handles;
  all.waits = wait_.begin(loop);
  if (!all.waits) {
    // Where the kernel watches no more sockets, libuv has no handle for it.
    const int error = uv_poll_init(loop, &all.poll, engine_.descriptor());
    if (error != 0) {
      wait_.end();
      errno = -error;
      return false;
    }
  }
  handles->runtime = shared_from_this();
  handles_ = handles.release();
  all.prepare.data = all.timer.data = all.idle.data = all.poll.data = handles_;
  napi_value name = nullptr;
  must(napi_create_string_latin1(env_, "portforward:engine", NAPI_AUTO_LENGTH, &name));
  must(napi_async_init(env_, nullptr, name, &context_));
  const auto runtimeOf = [](void* handle) -> Runtime& {
    return *static_cast<Handles*>(static_cast<uv_handle_t*>(handle)->data)->runtime;
  };
  static const auto of = runtimeOf;
  if (all.waits) {
    uv_idle_init(loop, &all.idle);
    uv_unref(reinterpret_cast<uv_handle_t*>(&all.idle));
  } else {
    uv_poll_start(&all.poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
      Runtime& runtime = of(handle);
      runtime.engine_.turn();
      runtime.afterRound();
    });
    uv_unref(reinterpret_cast<uv_handle_t*>(&all.poll));
  }
  uv_prepare_init(loop, &all.prepare);
  uv_prepare_start(&all.prepare, [](uv_prepare_t* handle) { of(handle).prepared(); });
  uv_timer_init(loop, &all.timer);
  uv_unref(reinterpret_cast<uv_handle_t*>(&all.prepare));
  uv_unref(reinterpret_cast<uv_handle_t*>(&all.timer));
  // At the end of the environment libuv's handles must be closed before its loop is.
  const auto atEnd = [](napi_async_cleanup_hook_handle, void* self) {
    auto* runtime = static_cast<Runtime*>(self);
    runtime->close();
    runtime->engine_.settle();
    runtime->finish();
  };
  must(napi_add_async_cleanup_hook(env_, atEnd, this, &hook_));
  return true;
}

void Runtime::prepared() {
  engine_.settle();
  afterRound();
  if (!wait_.isOn()) return;
  uv_idle_stop(&handles_->idle);
  while (wait_.isOn() && wait_.serve()) afterRound();
  if (!wait_.isOn()) return;
  afterRound();
  // What woke the thread may be another process's by now: libuv would wait for its sockets, deaf to the engine's.
  if (wait_.isOn()) uv_idle_start(&handles_->idle, [](uv_idle_t*) {});
}

void Runtime::afterRound() {
  if (isStopped_) {
    finish();
  } else {
    asked();
  }
}

void Runtime::asked() {
  if (handles_ == nullptr) return;
  auto* timer = &handles_->timer;
  const bool isActive = uv_is_active(reinterpret_cast<uv_handle_t*>(timer)) != 0;
  if (engine_.needsTick() && !isActive) {
    const auto ticked = [](uv_timer_t* handle) {
      Runtime& runtime = *static_cast<Handles*>(handle->data)->runtime;
      runtime.engine_.tick();
      runtime.afterRound();
    };
    uv_timer_start(timer, ticked, uint64_t(tickMs), uint64_t(tickMs));
  } else if (!engine_.needsTick() && isActive) {
    uv_timer_stop(timer);
  }
  auto* prepare = reinterpret_cast<uv_handle_t*>(&handles_->prepare);
  if (engine_.keepsAlive()) {
    uv_ref(prepare);
  } else {
    uv_unref(prepare);
  }
}

bool Runtime::call(const Reference& function, std::initializer_list<napi_value> arguments) {
  if (isStopped_) return false;
  const napi_value what = function.value();
  if (what == nullptr) return false;
  napi_value global = nullptr;
  must(napi_get_global(env_, &global));
  wait_.called();
  napi_value result = nullptr;
  const napi_status status =
      napi_make_callback(env_, context_, global, what, arguments.size(), arguments.begin(), &result);
  bool hasThrown = false;
  must(napi_is_exception_pending(env_, &hasThrown));
  // Every other status may come after JavaScript has run, as at a thread that is ended meanwhile.
  if (!hasThrown) return status != napi_cannot_run_js && status != napi_pending_exception;
  napi_value exception = nullptr;
  must(napi_get_and_clear_last_exception(env_, &exception));
  napi_fatal_exception(env_, exception);
  return true;
}

void Runtime::close() {
  isStopped_ = true;
  engine_.close();
}

void Runtime::finish() {
  if (handles_ == nullptr) return;
  // What was asked for in the last callbacks.
  engine_.settle();
  wait_.end();
  budget_.reference.drop();
  must(napi_async_destroy(env_, context_));
  Handles::close(std::exchange(handles_, nullptr));
}

}  // namespace engine::js
