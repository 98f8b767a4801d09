#include "js_link.h"

#include <fcntl.h>

#include <cerrno>

namespace engine::js {
namespace {

constexpr napi_type_tag tag{0x706f'7274'666f'7277, 0x6172'642d'6c69'6e6b};

constexpr const char* lossNames[] = {"closed", "broken", "packet", "window", "flood", "noPacket", "unread", "keys"};

/** Calls JavaScript, as long as the link is told of. */
class Events final : public LinkEvents {
 public:
  Events(std::shared_ptr<Runtime> runtime, Cells cells, Reference payload, Reference drain, Reference lost,
         Reference busy)
      : runtime_(std::move(runtime)),
        cells_(std::move(cells)),
        onPayload_(std::move(payload)),
        onDrain_(std::move(drain)),
        onLost_(std::move(lost)),
        onBusyChange_(std::move(busy)) {}

  void payload(ConstBytes payload) override {
    const napi_env env = runtime_->env();
    const Scope scope(env);
    void* copy = nullptr;
    napi_value buffer = nullptr;
    must(napi_create_buffer_copy(env, payload.size(), payload.data(), &copy, &buffer));
    runtime_->call(onPayload_, {buffer});
  }

  void drained() override {
    const Scope scope(runtime_->env());
    runtime_->call(onDrain_, {});
  }

  void busy(bool isBusy) override {
    const napi_env env = runtime_->env();
    const Scope scope(env);
    runtime_->call(onBusyChange_, {boolean(env, isBusy)});
  }

  void lost(Loss loss, int error) override {
    const napi_env env = runtime_->env();
    const Scope scope(env);
    const napi_value cause = string(env, lossNames[size_t(loss)]);
    runtime_->call(onLost_, {object(env, {{"cause", cause}, {"errno", number(env, error)}})});
  }

  void released() override {
    onPayload_.drop();
    onDrain_.drop();
    onLost_.drop();
    onBusyChange_.drop();
    self.drop();
    cells_.reference.drop();
  }

  /** Keeps the object while its link is told of: failures name it. */
  Reference self;

 private:
  std::shared_ptr<Runtime> runtime_;
  Cells cells_;
  Reference onPayload_;
  Reference onDrain_;
  Reference onLost_;
  Reference onBusyChange_;
};

struct State {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<Link> link;
};

State* stateOf(const Call& call) { return static_cast<State*>(js::stateOf(call.env, call.self, tag)); }

napi_value setKey(napi_env env, napi_callback_info info, bool (Link::*set)(ConstBytes, ConstBytes)) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  const auto key = bytesOf(env, call.arguments[0], "key");
  if (!key) return nullptr;
  const auto nonce = bytesOf(env, call.arguments[1], "iv");
  if (!nonce) return nullptr;
  if (!(state->link.get()->*set)(*key, *nonce)) return throwTypeError(env, "a key has 16 or 32 bytes, an iv 12");
  return undefined(env);
}

napi_value setSendKey(napi_env env, napi_callback_info info) { return setKey(env, info, &Link::setSendKey); }
napi_value setReceiveKey(napi_env env, napi_callback_info info) { return setKey(env, info, &Link::setReceiveKey); }

napi_value seal(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  const auto packet = bytesOf(env, call.arguments[0], "packet");
  if (!packet) return nullptr;
  if (!state->link->sealPacket(*packet)) return throwTypeError(env, "that is no packet with room for its tag");
  return undefined(env);
}

napi_value start(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  ConstBytes early;
  if (!isUndefined(env, call.arguments[0])) {
    const auto bytes = bytesOf(env, call.arguments[0], "early");
    if (!bytes) return nullptr;
    early = *bytes;
  }
  if (!state->link->start(early)) return throwTypeError(env, "a link starts once, with at most 256 KiB that were read early");
  return undefined(env);
}

napi_value flush(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  state->link->push();
  return undefined(env);
}

napi_value close(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  state->link->close();
  return undefined(env);
}

}  // namespace

napi_value makeLink(const std::shared_ptr<Runtime>& runtime, napi_value options) {
  const napi_env env = runtime->env();
  const auto fd = numberOf(env, options, "fd", 0, INT32_MAX);
  if (!fd) return nullptr;
  const auto maxChannels = numberOf(env, options, "maxChannels", 0, 1e6);
  if (!maxChannels) return nullptr;
  auto cells = cellsOf(env, options, "cells", linkCell::length);
  if (!cells) return nullptr;
  auto onPayload = functionOf(env, options, "onPayload");
  if (!onPayload) return nullptr;
  auto onDrain = functionOf(env, options, "onDrain");
  if (!onDrain) return nullptr;
  auto onLost = functionOf(env, options, "onLost");
  if (!onLost) return nullptr;
  auto onBusyChange = functionOf(env, options, "onBusyChange");
  if (!onBusyChange) return nullptr;
  Descriptor socket(fcntl(int(*fd), F_DUPFD_CLOEXEC, 0));
  if (!socket) return throwErrno(env, errno);
  double* data = cells->data;
  auto events = std::make_unique<Events>(runtime, std::move(*cells), std::move(*onPayload), std::move(*onDrain),
                                         std::move(*onLost), std::move(*onBusyChange));
  Reference& self = events->self;
  Engine& engine = runtime->engine();
  auto link = std::make_shared<Link>(engine, std::move(socket), data, uint32_t(*maxChannels), std::move(events));
  engine.add(link);
  auto state = std::make_unique<State>(State{runtime, link});
  const napi_value made = wrapped(env, tag,
                                  {{"setSendKey", setSendKey},
                                   {"setReceiveKey", setReceiveKey},
                                   {"seal", seal},
                                   {"start", start},
                                   {"flush", flush},
                                   {"close", close}},
                                  {}, state.release(), freeState<State>);
  self = Reference(env, made);
  return made;
}

std::shared_ptr<Link> linkOf(napi_env env, napi_value object) {
  const auto* state = static_cast<State*>(stateOf(env, object, tag));
  return state == nullptr ? nullptr : state->link;
}

napi_value objectOf(napi_env env, const std::shared_ptr<Link>& link) {
  const napi_value self = static_cast<Events&>(link->events()).self.value();
  return self == nullptr ? undefined(env) : self;
}

}  // namespace engine::js
