#include "js_listener.h"

#include "js_link.h"

namespace engine::js {
namespace {

constexpr napi_type_tag tag{0x706f'7274'666f'7277, 0x6172'642d'706f'7274};

constexpr const char* causeNames[] = {"refused", "timeout", "lost", "taken"};
constexpr const char* brokenByNames[] = {"", "client", "destination", "session", "drain"};

/** RFC 1035 allows 253 bytes for a name, Linux 107 for the path of a socket; others may allow more. */
constexpr size_t mostNameBytes = 4096;

class Events final : public ListenerEvents {
 public:
  Events(std::shared_ptr<Runtime> runtime, Cells cells, Reference client, Reference answered, Reference idle,
         Reference dialled, Reference ended)
      : runtime_(std::move(runtime)),
        cells_(std::move(cells)),
        onClient_(std::move(client)),
        onAnswered_(std::move(answered)),
        onIdle_(std::move(idle)),
        onDialled_(std::move(dialled)),
        onEnded_(std::move(ended)) {}

  void client(Descriptor client, const std::optional<DialFailure>& failure) override {
    // Nobody could take it: it is closed here.
    if (runtime_->isClosed()) return;
    const napi_env env = runtime_->env();
    const Scope scope(env);
    const napi_value why = failure ? failureOf(env, *failure) : undefined(env);
    // JavaScript closes it, in the call already if it wants.
    const int fd = client.release();
    if (!runtime_->call(onClient_, {number(env, fd), why})) client = Descriptor(fd);
  }

  void answered() override {
    const Scope scope(runtime_->env());
    runtime_->call(onAnswered_, {});
  }

  void idle() override {
    const Scope scope(runtime_->env());
    runtime_->call(onIdle_, {});
  }

  bool wantsDials() const override { return bool(onDialled_); }

  void dialled(double tookMs) override {
    const napi_env env = runtime_->env();
    const Scope scope(env);
    runtime_->call(onDialled_, {number(env, tookMs)});
  }

  bool wantsEnds() const override { return bool(onEnded_); }

  void ended(const ClientEnd& end) override {
    const napi_env env = runtime_->env();
    const Scope scope(env);
    const napi_value told = object(env, {{"link", objectOf(env, end.link)},
                                         {"bytesToDestination", number(env, double(end.toDestination))},
                                         {"bytesToClient", number(env, double(end.toClient))},
                                         {"durationMs", number(env, end.durationMs)},
                                         {"brokenBy", string(env, brokenByNames[size_t(end.brokenBy)])}});
    runtime_->call(onEnded_, {told});
  }

  void released() override {
    onClient_.drop();
    onAnswered_.drop();
    onIdle_.drop();
    onDialled_.drop();
    onEnded_.drop();
    cells_.reference.drop();
  }

 private:
  static napi_value failureOf(napi_env env, const DialFailure& failure) {
    return object(env, {{"link", objectOf(env, failure.link)},
                        {"cause", string(env, causeNames[size_t(failure.cause)])},
                        {"reason", number(env, failure.reason)},
                        {"text", string(env, failure.text)},
                        {"tookMs", number(env, failure.tookMs)}});
  }

  std::shared_ptr<Runtime> runtime_;
  Cells cells_;
  Reference onClient_;
  Reference onAnswered_;
  Reference onIdle_;
  Reference onDialled_;
  Reference onEnded_;
};

struct State {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<Listener> listener;
};

State* stateOf(const Call& call) { return static_cast<State*>(js::stateOf(call.env, call.self, tag)); }

napi_value setLinks(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  uint32_t count = 0;
  if (napi_get_array_length(env, call.arguments[0], &count) != napi_ok) return throwTypeError(env, "links must be an array");
  std::vector<std::shared_ptr<Link>> links;
  for (uint32_t i = 0; i < count; ++i) {
    napi_value one = nullptr;
    must(napi_get_element(env, call.arguments[0], i, &one));
    auto link = linkOf(env, one);
    if (link == nullptr) return nullptr;
    links.push_back(std::move(link));
  }
  state->listener->setLinks(std::move(links));
  return undefined(env);
}

napi_value takeBack(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  const auto link = linkOf(env, call.arguments[0]);
  if (link == nullptr) return nullptr;
  state->listener->takeBack(*link);
  return undefined(env);
}

template <void (Listener::*method)()>
napi_value simply(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const State* state = stateOf(call);
  if (state == nullptr) return nullptr;
  (state->listener.get()->*method)();
  state->runtime->asked();
  return undefined(env);
}

/** An empty reference if it is not given. */
std::optional<Reference> optionalFunctionOf(napi_env env, napi_value object, const char* name) {
  if (isUndefined(env, property(env, object, name))) return Reference();
  return functionOf(env, object, name);
}

std::optional<Destination> destinationOf(napi_env env, napi_value options) {
  const napi_value destination = property(env, options, "destination");
  if (!isUndefined(env, property(env, destination, "socket"))) {
    const auto path = stringOf(env, destination, "socket", mostNameBytes);
    if (!path) return std::nullopt;
    return Destination::unixSocket(*path);
  }
  const auto host = stringOf(env, destination, "host", mostNameBytes);
  if (!host) return std::nullopt;
  const auto port = numberOf(env, destination, "port", 0, UINT16_MAX);
  if (!port) return std::nullopt;
  return Destination::tcp(*host, uint32_t(*port));
}

}  // namespace

napi_value makeListener(const std::shared_ptr<Runtime>& runtime, napi_value options) {
  const napi_env env = runtime->env();
  const auto host = stringOf(env, options, "host", mostNameBytes);
  if (!host) return nullptr;
  const auto port = numberOf(env, options, "port", 0, UINT16_MAX);
  if (!port) return nullptr;
  auto destination = destinationOf(env, options);
  if (!destination) return nullptr;
  const auto timeoutMs = numberOf(env, options, "dialTimeoutMs", 0, 1e12);
  if (!timeoutMs) return nullptr;
  auto cells = cellsOf(env, options, "cells", listenerCell::length);
  if (!cells) return nullptr;
  auto onClient = functionOf(env, options, "onClient");
  if (!onClient) return nullptr;
  auto onAnswered = functionOf(env, options, "onAnswered");
  if (!onAnswered) return nullptr;
  auto onIdle = functionOf(env, options, "onIdle");
  if (!onIdle) return nullptr;
  auto onDialled = optionalFunctionOf(env, options, "onDialled");
  if (!onDialled) return nullptr;
  auto onEnded = optionalFunctionOf(env, options, "onEnded");
  if (!onEnded) return nullptr;
  ListenResult listening = listenOn({*host, uint16_t(*port)});
  if (listening.error != 0) return throwErrno(env, listening.error);
  const ListenAddress address = addressOf(listening.socket);
  double* data = cells->data;
  auto events = std::make_unique<Events>(runtime, std::move(*cells), std::move(*onClient), std::move(*onAnswered),
                                         std::move(*onIdle), std::move(*onDialled), std::move(*onEnded));
  Engine& engine = runtime->engine();
  auto listener = std::make_shared<Listener>(engine, std::move(listening.socket), std::move(*destination), *timeoutMs,
                                             data, std::move(events));
  if (!listener->start()) return throwErrno(env, errno);
  engine.add(listener);
  runtime->asked();
  auto state = std::make_unique<State>(State{runtime, listener});
  return wrapped(env, tag,
                 {{"setLinks", setLinks},
                  {"takeBack", takeBack},
                  {"stopAccepting", simply<&Listener::stopAccepting>},
                  {"resetAll", simply<&Listener::resetAll>},
                  {"close", simply<&Listener::close>}},
                 {{"host", string(env, address.host)}, {"port", number(env, address.port)}}, state.release(),
                 freeState<State>);
}

}  // namespace engine::js
