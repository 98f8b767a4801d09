// One program: all tests, or those whose names begin with the first argument; `fuzz STEPS SEED`; `window-trace`.
// Neighbours: *_test.cc, fuzz.cc, window_trace.cc.
#include <cstdint>
#include <cstring>

#include "check.h"

int traceWindow();
int fuzz(long long steps, uint64_t seed);

namespace check {
Tests& tests() {
  static Tests all;
  return all;
}
}  // namespace check

int main(int count, char** arguments) {
  const char* prefix = count > 1 ? arguments[1] : "";
  if (std::strcmp(prefix, "window-trace") == 0) return traceWindow();
  if (std::strcmp(prefix, "fuzz") == 0 && count == 4) return fuzz(std::atoll(arguments[2]), std::strtoull(arguments[3], nullptr, 10));
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
