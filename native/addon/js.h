// The little of N-API that the engine's objects for JavaScript need. No C++ exception crosses it: the engine is built without them.
// Neighbours: runtime.h, js_link.h, js_listener.h.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../bytes.h"

namespace engine::js {

/** Ends the process if a call has failed that cannot fail; unless JavaScript cannot run any more, because its environment ends: nobody will miss the result. */
void must(napi_status status);

/** Handles that are made while it lives are free afterwards: the event loop has no scope of its own. */
class Scope {
 public:
  explicit Scope(napi_env env) : env_(env) { must(napi_open_handle_scope(env, &scope_)); }
  ~Scope() { napi_close_handle_scope(env_, scope_); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};

/** Keeps a value alive, until `drop`. */
class Reference {
 public:
  Reference() = default;
  Reference(napi_env env, napi_value value) : env_(env) { must(napi_create_reference(env, value, 1, &reference_)); }
  Reference(Reference&& other) noexcept : env_(other.env_), reference_(std::exchange(other.reference_, nullptr)) {}
  Reference& operator=(Reference&& other) noexcept {
    drop();
    env_ = other.env_;
    reference_ = std::exchange(other.reference_, nullptr);
    return *this;
  }
  ~Reference() { drop(); }

  explicit operator bool() const { return reference_ != nullptr; }
  /** Null after `drop`. */
  napi_value value() const;
  void drop() {
    if (reference_ != nullptr) napi_delete_reference(env_, std::exchange(reference_, nullptr));
  }

 private:
  napi_env env_ = nullptr;
  napi_ref reference_ = nullptr;
};

/** Numbers in JavaScript's memory, which stays where it is as long as this lives. */
struct Cells {
  Reference reference;
  double* data = nullptr;
};

// --- what comes from JavaScript: each throws a TypeError and returns nothing if it is something else ---

std::nullptr_t throwTypeError(napi_env env, const std::string& message);
/** An Error with `code`. */
std::nullptr_t throwErrno(napi_env env, int error);

/** The arguments of a call, and whatever the method belongs to. */
struct Call {
  Call(napi_env env, napi_callback_info info);
  napi_env env;
  napi_value self = nullptr;
  napi_value arguments[2] = {};
  size_t count = 2;
};

napi_value property(napi_env env, napi_value object, const char* name);
bool isUndefined(napi_env env, napi_value value);
std::optional<ConstBytes> bytesOf(napi_env env, napi_value value, const char* name);
std::optional<double> numberOf(napi_env env, napi_value object, const char* name, double least, double most);
std::optional<std::string> stringOf(napi_env env, napi_value object, const char* name, size_t most);
std::optional<Cells> cellsOf(napi_env env, napi_value object, const char* name, size_t length);
std::optional<Reference> functionOf(napi_env env, napi_value object, const char* name);

// --- what goes to JavaScript ---

napi_value undefined(napi_env env);
napi_value number(napi_env env, double value);
napi_value boolean(napi_env env, bool value);
/** Latin-1. */
napi_value string(napi_env env, const std::string& value);

struct Property {
  const char* name;
  napi_value value;
};
napi_value object(napi_env env, std::initializer_list<Property> properties);

struct Method {
  const char* name;
  napi_callback call;
};

/** An object with these methods that owns `state`, and is recognised by `tag`. */
napi_value wrapped(napi_env env, const napi_type_tag& tag, std::initializer_list<Method> methods,
                   std::initializer_list<Property> properties, void* state, napi_finalize free);

/** What `wrapped` owns; null, and a TypeError, if it is another object. */
void* stateOf(napi_env env, napi_value object, const napi_type_tag& tag);

template <typename T>
void freeState(napi_env, void* state, void*) {
  std::unique_ptr<T>(static_cast<T*>(state));
}

}  // namespace engine::js
