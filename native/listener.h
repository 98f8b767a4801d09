// One forward's port: accepts clients and has them dialled over one of the links that JavaScript gave it, or gives them back at once.
// Neighbours: connection.h is what becomes of a client, link.h carries it, engine.h owns it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events.h"
#include "poller.h"

namespace engine {

class Engine;
class Link;

/** Where a port leads, as CHANNEL_OPEN says it: the channel's type, and what follows its three numbers. */
struct Destination {
  std::string type;
  std::vector<uint8_t> tail;

  /** RFC 4254 §7.2. sshd only logs the origin; ours would reveal a pod's address to the bastion. */
  static Destination tcp(std::string_view host, uint32_t port);
  /** OpenSSH's PROTOCOL, §2.4. */
  static Destination unixSocket(std::string_view path);
};

struct ListenAddress {
  /** A literal of IPv4 or IPv6; empty: every address of both. */
  std::string host;
  uint16_t port;
};

/** A socket that listens, or the errno. The sockets that it accepts have its options. */
struct ListenResult {
  Descriptor socket;
  int error = 0;
};
ListenResult listenOn(const ListenAddress& address);
/** The address that it listens on. */
ListenAddress addressOf(const Descriptor& socket);

class Listener final : public Pollable, public std::enable_shared_from_this<Listener> {
 public:
  /** `cells` (listenerCell) stay where they are until `released`. */
  Listener(Engine& engine, Descriptor socket, Destination destination, double dialTimeoutMs, double* cells,
           std::unique_ptr<ListenerEvents> events);

  // --- for JavaScript ---

  bool start();
  void setLinks(std::vector<std::shared_ptr<Link>> links) { links_ = std::move(links); }
  void takeBack(const Link& link);
  void stopAccepting();
  void resetAll();
  void close();

  // --- for the engine and its connections ---

  void ready(uint32_t events) override;
  /** A client that was accepted. Tests begin here. */
  void take(Descriptor client);
  void tick(double now);

  double dialTimeoutMs() const { return dialTimeoutMs_; }
  /** The dial was answered or has failed; `isCounted`: its time says something. */
  void dialled(double tookMs, bool isSuccess);
  void countBytes(size_t cell, uint64_t bytes) { cells_[cell] += double(bytes); }
  void clientGone(BrokenBy by);
  bool wantsEnds() const { return events_->wantsEnds(); }

  void tellBack(Descriptor client, const std::optional<DialFailure>& failure);
  void tellDial(double tookMs);
  void tellEnd(const ClientEnd& end);
  void tellChanges();
  void release();

  bool isChanged = false;

 private:
  Link* leastLoaded() const;
  void setOpen(uint32_t open);
  void pause();
  void setTimed(bool isTimed);

  Engine& engine_;
  Descriptor socket_;
  const Destination destination_;
  const double dialTimeoutMs_;
  double* cells_;
  std::unique_ptr<ListenerEvents> events_;
  std::vector<std::shared_ptr<Link>> links_;
  uint32_t open_ = 0;
  bool isClosed_ = false;
  /** No descriptor is left for the next client: tried again at the next tick. */
  bool isPaused_ = false;
  bool isTimed_ = false;
  bool hasAnswered_ = false;
  bool isIdle_ = false;
  double toldAt_;
};

}  // namespace engine
