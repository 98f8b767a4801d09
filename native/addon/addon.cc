// What Node loads: `new Engine(options)`. The promises of all that is here are written down in src/sidecar/base/native-engine.ts.
// Neighbours: js_link.h and js_listener.h, whose objects an engine gives out.
#include "js_link.h"
#include "js_listener.h"
#include "runtime.h"

namespace engine::js {
namespace {

constexpr double interfaceVersion = 1;

constexpr napi_type_tag tag{0x706f'7274'666f'7277, 0x6172'642d'6d61'696e};

struct State {
  std::shared_ptr<Runtime> runtime;
};

napi_value close(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto* state = static_cast<State*>(stateOf(env, call.self, tag));
  if (state == nullptr) return nullptr;
  state->runtime->close();
  return undefined(env);
}

napi_value waitedMs(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto* state = static_cast<State*>(stateOf(env, call.self, tag));
  return state == nullptr ? nullptr : number(env, state->runtime->engine().waitedMs());
}

template <napi_value (*make)(const std::shared_ptr<Runtime>&, napi_value)>
napi_value give(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto* state = static_cast<State*>(stateOf(env, call.self, tag));
  if (state == nullptr) return nullptr;
  if (state->runtime->isClosed()) return throwTypeError(env, "the engine is closed");
  return make(state->runtime, call.arguments[0]);
}

/** A constructor may return another object than the one that Node made for it. */
napi_value makeEngine(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const napi_value options = call.arguments[0];
  auto budget = cellsOf(env, options, "budget", 2);
  if (!budget) return nullptr;
  const auto total = numberOf(env, options, "budgetTotal", 1, 1e15);
  if (!total) return nullptr;
  auto runtime = Runtime::start(env, std::move(*budget), *total);
  if (runtime == nullptr) return throwErrno(env, errno);
  auto state = std::make_unique<State>(State{std::move(runtime)});
  return wrapped(env, tag, {{"link", give<makeLink>}, {"listen", give<makeListener>}, {"waitedMs", waitedMs}, {"close", close}}, {},
                 state.release(), freeState<State>);
}

napi_value init(napi_env env, napi_value exports) {
  napi_value made = nullptr;
  must(napi_define_class(env, "Engine", NAPI_AUTO_LENGTH, makeEngine, nullptr, 0, nullptr, &made));
  must(napi_set_named_property(env, exports, "Engine", made));
  must(napi_set_named_property(env, exports, "interfaceVersion", number(env, interfaceVersion)));
  return exports;
}

}  // namespace
}  // namespace engine::js

NAPI_MODULE_INIT() { return engine::js::init(env, exports); }
