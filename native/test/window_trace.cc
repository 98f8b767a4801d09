// The window's rules, step by step: test/unit/native/engine.test.ts gives the same steps to inbound-window.ts and compares.
// A line "total taken now" begins a window; then "r bytes" receives, "c bytes now roundTripMs" (nan: unknown)
// consumes, "e" ends it. Each answer is one line: what `received` or `consumed` returned, granted, and what the budget has used.
#include <cmath>
#include <cstdio>
#include <optional>

#include "../window.h"

int traceWindow() {
  double cells[2] = {};
  double total = 0;
  std::optional<engine::Budget> budget;
  std::optional<engine::InboundWindow> window;
  char line[256];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    long long bytes = 0;
    double now = 0;
    double roundTripMs = 0;
    long long answer = 0;
    if (std::sscanf(line, "r %lld", &bytes) == 1) {
      answer = window->received(bytes) ? 1 : 0;
    } else if (std::sscanf(line, "c %lld %lf %lf", &bytes, &now, &roundTripMs) == 3) {
      answer = window->consumed(bytes, now, roundTripMs);
    } else if (line[0] == 'e') {
      window->release();
    } else if (std::sscanf(line, "%lf %lf %lf", &total, &cells[0], &now) == 3) {
      window.reset();
      cells[1] = 0;
      budget.emplace(cells, total);
      window.emplace(*budget, now);
    } else {
      return 1;
    }
    std::printf("%lld %lld %.0f\n", answer, static_cast<long long>(window->granted()), cells[1]);
  }
  return 0;
}
