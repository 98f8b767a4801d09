// A link as JavaScript has it. Neighbours: js_engine.cc gives it out, js_listener.cc names it in failures.
#pragma once

#include "../link.h"
#include "runtime.h"

namespace engine::js {

/** `engine.link(options)`: the object, or null after a TypeError was thrown. */
napi_value makeLink(const std::shared_ptr<Runtime>& runtime, napi_value options);

/** The link behind an object; null after a TypeError. */
std::shared_ptr<Link> linkOf(napi_env env, napi_value object);

/** The object of a link; undefined once it is released. */
napi_value objectOf(napi_env env, const std::shared_ptr<Link>& link);

}  // namespace engine::js
