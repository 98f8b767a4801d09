// The byte budget of the pod, shared with JavaScript: the same rules as src/sidecar/base/byte-budget.ts, over the same two numbers.
// Neighbours: window.h counts what far sides may send, link.h its own memory.
#pragma once

#include <algorithm>
#include <cstdint>

namespace engine {

class Budget {
 public:
  /** `cells[0]` is what JavaScript uses, `cells[1]` what the engine uses. They are not owned. */
  Budget(double* cells, double total) : cells_(cells), total_(total) {}

  double total() const { return total_; }
  double free() const { return std::max(0.0, total_ - cells_[0] - cells_[1]); }
  /** Bytes left for those who want more than the minimum that keeps them moving: a quarter of the total is reserved for the minimums. */
  double spare() const { return std::max(0.0, free() - total_ / 4); }

  void take(int64_t bytes) { cells_[1] += double(bytes); }
  void giveBack(int64_t bytes) { cells_[1] -= double(bytes); }

 private:
  double* cells_;
  double total_;
};

}  // namespace engine
