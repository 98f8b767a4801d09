// Runs all tests, or those whose names begin with the first argument; `window` is a program of its own (window_trace.cc).
#include <cstring>

#include "check.h"

int traceWindow();

namespace check {
Tests& tests() {
  static Tests all;
  return all;
}
}  // namespace check

int main(int count, char** arguments) {
  const char* prefix = count > 1 ? arguments[1] : "";
  if (std::strcmp(prefix, "window-trace") == 0) return traceWindow();
  int ran = 0;
  for (const auto& [name, body] : check::tests()) {
    if (std::strncmp(name, prefix, std::strlen(prefix)) != 0) continue;
    std::printf("%s\n", name);
    std::fflush(stdout);
    body();
    ++ran;
  }
  std::printf("%d tests passed\n", ran);
  return ran > 0 ? 0 : 1;
}
