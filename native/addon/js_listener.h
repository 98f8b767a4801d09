// A listener as JavaScript has it. Neighbour: js_engine.cc gives it out.
#pragma once

#include "../listener.h"
#include "runtime.h"

namespace engine::js {

/** `engine.listen(options)`: the object, or null after an error was thrown. */
napi_value makeListener(const std::shared_ptr<Runtime>& runtime, napi_value options);

}  // namespace engine::js
