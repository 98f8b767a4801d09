// Everything of one sidecar: its links, its listeners, and the connections between them. It knows no event loop: whoever has one calls `turn`
// while `descriptor` is readable, `settle` before each wait, and `tick` every 100 ms while `needsTick`; or has `turn` wait for it.
//
// Ownership: the engine owns links, listeners and connections. They point at each other freely, because whatever has ended is kept until the
// end of the round (`settle`), when nobody has a pointer to it.
// Neighbours: addon/ runs it in Node's event loop, link.h, listener.h and connection.h are its parts.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "budget.h"
#include "connection.h"
#include "events.h"
#include "poller.h"
#include "pulse.h"

namespace engine {

class Link;
class Listener;

/** Milliseconds of a clock that never goes back. */
double monotonicMs();

constexpr double tickMs = 100;

class Engine {
 public:
  explicit Engine(Budget budget, double (*clock)() = monotonicMs);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /** Ends all links and listeners without a word, and resets their clients. */
  void close();
  bool isClosed() const { return isClosed_; }

  // --- the event loop ---

  int descriptor() const { return poller_.descriptor(); }
  /** Gives its own descriptors back, after `close`, once nobody waits for `descriptor` any more. */
  void closeDescriptors() {
    pulse_.close();
    poller_.close();
  }
  /** Serves the sockets that are ready, after a wait of at most `timeoutMs` until one is, then settles. Returns how many were, at first. */
  int turn(int timeoutMs = 0);
  /** Somebody else on this thread has something to do: the present turn does not wait for more. */
  void hurry() { isHurried_ = true; }
  /** How long `turn` waited, in all. */
  double waitedMs() const { return poller_.waitedMs(); }
  /** Sends what was asked for, tells what happened, frees what has ended. */
  void settle();
  /** Serves the sockets that are ready, then ends what has waited too long. */
  void tick();
  bool needsTick() const { return timed_ > 0; }
  /** Somebody may still connect, or is connected. */
  bool keepsAlive() const { return !listeners_.empty() || clients_ > 0; }

  // --- for its parts ---

  Budget& budget() { return budget_; }
  Poller& poller() { return poller_; }
  double now() const { return clock_(); }

  void add(std::shared_ptr<Link> link);
  void add(std::shared_ptr<Listener> listener);
  Connection& add(std::unique_ptr<Connection> connection);
  /** Kept until the end of the round. */
  void bury(Connection& connection);

  /** The link has something to send. */
  void touch(Link& link);
  /** `Link::pulse` of all links each millisecond, until none needs it. False if that cannot be. */
  bool startPulse() { return pulse_.start(); }
  /** The connection has bytes of the present read of a link. */
  void addToBatch(Connection& connection);
  void endBatch();

  void countTimed(int change) { timed_ += change; }
  void countClients(int change) { clients_ += change; }

  template <typename Visit>
  void eachConnection(Visit visit) {
    // By number: a visit may bury the connection that it is at, whose place the last one takes.
    for (size_t i = connections_.size(); i-- > 0;) {
      if (i < connections_.size()) visit(*connections_[i]);
    }
  }

  // --- what is told at the end of the round, in this order within each kind ---

  struct LinkLost {
    std::shared_ptr<Link> link;
    Loss loss;
    int error;
  };
  struct LinkReleased {
    std::shared_ptr<Link> link;
  };
  struct ClientBack {
    std::shared_ptr<Listener> listener;
    Descriptor client;
    std::optional<DialFailure> failure;
  };
  struct Dialled {
    std::shared_ptr<Listener> listener;
    double tookMs;
  };
  struct Ended {
    std::shared_ptr<Listener> listener;
    ClientEnd end;
  };
  struct ListenerReleased {
    std::shared_ptr<Listener> listener;
  };
  using Notice = std::variant<LinkLost, LinkReleased, ClientBack, Dialled, Ended, ListenerReleased>;

  void tell(Notice notice) { notices_.push_back(std::move(notice)); }
  /** The states of it are told, not each of their changes. */
  void changed(Link& link);
  void changed(Listener& listener);
  /** Takes back what was not told yet: clients that go back to that listener's user. */
  std::vector<ClientBack> untold(const Listener& listener);

 private:
  bool beat();
  void flushDirty();
  void tellAll();
  bool hasNews() const { return !notices_.empty() || !changedLinks_.empty() || !changedListeners_.empty(); }

  Budget budget_;
  double (*const clock_)();
  Poller poller_;
  Pulse pulse_;
  bool isClosed_ = false;
  bool isHurried_ = false;
  int timed_ = 0;
  int clients_ = 0;
  std::vector<std::shared_ptr<Link>> links_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::vector<std::shared_ptr<Link>> dirty_;
  std::vector<Connection*> batch_;
  std::deque<Notice> notices_;
  std::vector<std::shared_ptr<Link>> changedLinks_;
  std::vector<std::shared_ptr<Listener>> changedListeners_;
};

}  // namespace engine
