#include "poller.h"

namespace engine {

void Poller::watch(Pollable& who, const Descriptor& socket, uint32_t events) {
  if (who.isAdded_ && who.watched_ == events) return;
  epoll_event event{};
  event.events = events;
  event.data.ptr = &who;
  // It fails only for want of kernel memory; then the socket stays silent, as with libuv's own.
  epoll_ctl(epoll_.get(), who.isAdded_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket.get(), &event);
  who.isAdded_ = true;
  who.watched_ = events;
}

void Poller::forget(Pollable& who, const Descriptor& socket) {
  if (!who.isAdded_) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
  who.isAdded_ = false;
}

bool Poller::serve() {
  constexpr int most = 256;
  epoll_event events[most];
  const int count = epoll_wait(epoll_.get(), events, most, 0);
  for (int i = 0; i < count; ++i) static_cast<Pollable*>(events[i].data.ptr)->ready(events[i].events);
  return count < most;
}

}  // namespace engine
