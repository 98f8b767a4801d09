#include "js.h"

#include <uv.h>

namespace engine::js {

void must(napi_status status) {
  // Up to version 9 of N-API it has the second name.
  if (status == napi_ok || status == napi_cannot_run_js || status == napi_pending_exception) return;
  napi_fatal_error("engine", NAPI_AUTO_LENGTH, "a call of N-API failed", NAPI_AUTO_LENGTH);
}

napi_value Reference::value() const {
  napi_value value = nullptr;
  if (reference_ != nullptr) must(napi_get_reference_value(env_, reference_, &value));
  return value;
}

std::nullptr_t throwTypeError(napi_env env, const std::string& message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message.c_str());
  return nullptr;
}

std::nullptr_t throwErrno(napi_env env, int error) {
  napi_throw_error(env, uv_err_name(uv_translate_sys_error(error)), uv_strerror(uv_translate_sys_error(error)));
  return nullptr;
}

Call::Call(napi_env environment, napi_callback_info info) : env(environment) {
  must(napi_get_cb_info(env, info, &count, arguments, &self, nullptr));
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  // Undefined, if it is no object.
  if (napi_get_named_property(env, object, name, &value) != napi_ok) return undefined(env);
  return value;
}

bool isUndefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  must(napi_typeof(env, value, &type));
  return type == napi_undefined;
}

std::optional<ConstBytes> bytesOf(napi_env env, napi_value value, const char* name) {
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
    throwTypeError(env, std::string(name) + " must be a Uint8Array");
    return std::nullopt;
  }
  return ConstBytes(static_cast<const uint8_t*>(data), length);
}

std::optional<double> numberOf(napi_env env, napi_value object, const char* name, double least, double most) {
  double value = 0;
  if (napi_get_value_double(env, property(env, object, name), &value) != napi_ok || !(value >= least && value <= most)) {
    throwTypeError(env, std::string(name) + " must be a number within its bounds");
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> stringOf(napi_env env, napi_value object, const char* name, size_t most) {
  const napi_value value = property(env, object, name);
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok || length > most) {
    throwTypeError(env, std::string(name) + " must be a string that is not too long");
    return std::nullopt;
  }
  std::string text(length + 1, '\0');
  must(napi_get_value_string_utf8(env, value, text.data(), text.size(), &length));
  text.resize(length);
  return text;
}

std::optional<Cells> cellsOf(napi_env env, napi_value object, const char* name, size_t length) {
  const napi_value value = property(env, object, name);
  napi_typedarray_type type{};
  size_t has = 0;
  void* data = nullptr;
  const napi_status status = napi_get_typedarray_info(env, value, &type, &has, &data, nullptr, nullptr);
  if (status != napi_ok || type != napi_float64_array || has < length) {
    throwTypeError(env, std::string(name) + " must be a Float64Array of at least " + std::to_string(length));
    return std::nullopt;
  }
  return Cells{Reference(env, value), static_cast<double*>(data)};
}

std::optional<Reference> functionOf(napi_env env, napi_value object, const char* name) {
  const napi_value value = property(env, object, name);
  napi_valuetype type{};
  must(napi_typeof(env, value, &type));
  if (type != napi_function) {
    throwTypeError(env, std::string(name) + " must be a function");
    return std::nullopt;
  }
  return Reference(env, value);
}

napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  must(napi_get_undefined(env, &value));
  return value;
}

napi_value number(napi_env env, double value) {
  napi_value made = nullptr;
  must(napi_create_double(env, value, &made));
  return made;
}

napi_value boolean(napi_env env, bool value) {
  napi_value made = nullptr;
  must(napi_get_boolean(env, value, &made));
  return made;
}

napi_value string(napi_env env, const std::string& value) {
  napi_value made = nullptr;
  must(napi_create_string_latin1(env, value.data(), value.size(), &made));
  return made;
}

napi_value object(napi_env env, std::initializer_list<Property> properties) {
  napi_value made = nullptr;
  must(napi_create_object(env, &made));
  for (const auto& [name, value] : properties) must(napi_set_named_property(env, made, name, value));
  return made;
}

napi_value wrapped(napi_env env, const napi_type_tag& tag, std::initializer_list<Method> methods,
                   std::initializer_list<Property> properties, void* state, napi_finalize free) {
  const napi_value made = object(env, properties);
  for (const auto& [name, call] : methods) {
    napi_value function = nullptr;
    must(napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function));
    must(napi_set_named_property(env, made, name, function));
  }
  must(napi_wrap(env, made, state, free, nullptr, nullptr));
  must(napi_type_tag_object(env, made, &tag));
  return made;
}

void* stateOf(napi_env env, napi_value object, const napi_type_tag& tag) {
  bool isOurs = false;
  void* state = nullptr;
  if (napi_check_object_type_tag(env, object, &tag, &isOurs) != napi_ok || !isOurs) {
    return throwTypeError(env, "that is no object of the engine of this kind");
  }
  must(napi_unwrap(env, object, &state));
  return state;
}

}  // namespace engine::js
