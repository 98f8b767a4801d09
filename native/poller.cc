#include "poller.h"

namespace engine {

bool Poller::watch(Pollable& who, const Descriptor& socket, uint32_t events) {
  if (who.isAdded_ && who.watched_ == events) return true;
  const bool isNew = !who.isAdded_;
  if (isNew) {
    if (free_.empty()) {
      free_.push_back(uint32_t(slots_.size()));
      slots_.emplace_back();
    }
    who.slot_ = free_.back();
    free_.pop_back();
    slots_[who.slot_].who = &who;
    who.isAdded_ = true;
  }
  who.watched_ = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = uint64_t(slots_[who.slot_].generation) << 32 | who.slot_;
  if (epoll_ctl(epoll_.get(), isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket.get(), &event) == 0) return true;
  forgetClosed(who);
  return false;
}

void Poller::forget(Pollable& who, const Descriptor& socket) {
  if (!who.isAdded_) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
  forgetClosed(who);
}

void Poller::forgetClosed(Pollable& who) {
  if (!who.isAdded_) return;
  who.isAdded_ = false;
  slots_[who.slot_] = {nullptr, slots_[who.slot_].generation + 1};
  free_.push_back(who.slot_);
}

int Poller::serve(int timeoutMs) {
  constexpr int most = 256;
  epoll_event events[most];
  const double since = timeoutMs == 0 ? 0 : clock_();
  const int count = epoll_wait(epoll_.get(), events, most, timeoutMs);
  if (timeoutMs != 0) waitedMs_ += clock_() - since;
  for (int i = 0; i < count; ++i) {
    // By value: who is told may bring others, for whom the slots are moved.
    const Slot slot = slots_[uint32_t(events[i].data.u64)];
    if (slot.who != nullptr && slot.generation == uint32_t(events[i].data.u64 >> 32)) slot.who->ready(events[i].events);
  }
  return count;
}

}  // namespace engine
