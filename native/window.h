// How many bytes the far side may send on one channel (RFC 4254 §5.2): the rules of src/sidecar/drivers/ssh/channels/inbound-window.ts, which
// says why they are so, case for case (test/unit/native/engine.test.ts takes the same steps with both).
// Neighbours: connection.h has one, budget.h bounds them all.
#pragma once

#include <cstdint>

#include "budget.h"

namespace engine {

class InboundWindow {
 public:
  /** Takes the first window from the budget at once. `now` in milliseconds of a monotonic clock. */
  InboundWindow(Budget& budget, double now);
  ~InboundWindow() { release(); }
  InboundWindow(const InboundWindow&) = delete;
  InboundWindow& operator=(const InboundWindow&) = delete;

  int64_t granted() const { return granted_; }

  /** False if the far side sent more than it may. */
  bool received(int64_t bytes);

  /** Bytes have left our memory. Returns the adjustment to send now, 0 for none. `roundTripMs` is NaN while unknown. */
  int64_t consumed(int64_t bytes, double now, double roundTripMs);

  /** Gives everything back to the budget. */
  void release();

 private:
  void grant(int64_t bytes);
  void followNeed(int64_t bytes, double now, double roundTripMs);

  Budget& budget_;
  int64_t granted_ = 0;
  int64_t buffered_ = 0;
  int64_t target_;
  int64_t consumedOfWindow_ = 0;
  double windowBegan_;
  bool released_ = false;
};

/** The window that a stream at full speed needs over a way of this round trip. */
int64_t windowFor(double roundTripMs);

}  // namespace engine
