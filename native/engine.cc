#include "engine.h"

#include <ctime>

#include "link.h"
#include "listener.h"

namespace engine {

namespace {

/** More in a row would let JavaScript wait. */
constexpr int servesInRow = 3;

}  // namespace

double monotonicMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

Engine::Engine(Budget budget, double (*clock)()) : budget_(budget), clock_(clock), poller_(clock), pulse_(poller_, [this] { return beat(); }) {}

Engine::~Engine() {
  close();
  settle();
}

void Engine::close() {
  if (isClosed_) return;
  isClosed_ = true;
  for (const auto& listener : std::vector(listeners_)) listener->close();
  for (const auto& link : std::vector(links_)) link->close();
}

int Engine::turn(int timeoutMs) {
  isHurried_ = false;
  const int served = poller_.serve(timeoutMs);
  // Where several were ready, more has come while they were served: its messages leave with theirs, in one call.
  int last = served;
  for (int i = 1; i < servesInRow && last > 1 && !isHurried_; ++i) last = poller_.serve();
  settle();
  return served;
}

void Engine::settle() {
  do {
    flushDirty();
    tellAll();
  } while (!dirty_.empty() || hasNews());
  graveyard_.clear();
}

void Engine::tick() {
  // Timers run before sockets are read: after a pause of ours, what came in time must not be too late.
  turn();
  const double at = now();
  eachConnection([at](Connection& connection) {
    if (connection.isTimed()) connection.tick(at);
  });
  for (const auto& listener : std::vector(listeners_)) listener->tick(at);
  settle();
}

bool Engine::beat() {
  bool isNeeded = false;
  for (const auto& link : std::vector(links_)) isNeeded = link->pulse() || isNeeded;
  return isNeeded;
}

void Engine::add(std::shared_ptr<Link> link) { links_.push_back(std::move(link)); }

void Engine::add(std::shared_ptr<Listener> listener) { listeners_.push_back(std::move(listener)); }

Connection& Engine::add(std::unique_ptr<Connection> connection) {
  connection->place = connections_.size();
  connections_.push_back(std::move(connection));
  return *connections_.back();
}

void Engine::bury(Connection& connection) {
  const size_t place = connection.place;
  graveyard_.push_back(std::move(connections_[place]));
  if (place + 1 < connections_.size()) {
    connections_[place] = std::move(connections_.back());
    connections_[place]->place = place;
  }
  connections_.pop_back();
}

void Engine::touch(Link& link) {
  if (link.isDirty) return;
  link.isDirty = true;
  dirty_.push_back(link.shared_from_this());
}

void Engine::addToBatch(Connection& connection) {
  if (connection.isInBatch) return;
  connection.isInBatch = true;
  batch_.push_back(&connection);
}

void Engine::endBatch() {
  for (Connection* connection : batch_) connection->writeBatch();
  batch_.clear();
}

void Engine::changed(Link& link) {
  if (link.isChanged) return;
  link.isChanged = true;
  changedLinks_.push_back(link.shared_from_this());
}

void Engine::changed(Listener& listener) {
  if (listener.isChanged) return;
  listener.isChanged = true;
  changedListeners_.push_back(listener.shared_from_this());
}

std::vector<Engine::ClientBack> Engine::untold(const Listener& listener) {
  std::vector<ClientBack> taken;
  std::erase_if(notices_, [&](Notice& notice) {
    auto* back = std::get_if<ClientBack>(&notice);
    if (back == nullptr || back->listener.get() != &listener) return false;
    taken.push_back(std::move(*back));
    return true;
  });
  return taken;
}

void Engine::flushDirty() {
  for (const auto& link : std::exchange(dirty_, {})) {
    link->isDirty = false;
    link->flush();
  }
}

void Engine::tellAll() {
  struct Teller {
    Engine& engine;
    void operator()(LinkLost& it) const { it.link->tellLost(it.loss, it.error); }
    void operator()(LinkReleased& it) const {
      it.link->release();
      std::erase(engine.links_, it.link);
    }
    void operator()(ClientBack& it) const { it.listener->tellBack(std::move(it.client), it.failure); }
    void operator()(Dialled& it) const { it.listener->tellDial(it.tookMs); }
    void operator()(Ended& it) const { it.listener->tellEnd(it.end); }
    void operator()(ListenerReleased& it) const {
      it.listener->release();
      std::erase(engine.listeners_, it.listener);
    }
  };
  // One by one: what is called back may add to them, and take some away (`untold`).
  while (!notices_.empty()) {
    Notice first = std::move(notices_.front());
    notices_.pop_front();
    std::visit(Teller{*this}, first);
  }
  for (const auto& link : std::exchange(changedLinks_, {})) {
    link->isChanged = false;
    link->tellChanges();
  }
  for (const auto& listener : std::exchange(changedListeners_, {})) {
    listener->isChanged = false;
    listener->tellChanges();
  }
}

}  // namespace engine
