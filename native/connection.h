// One client and its channel: bytes both ways until both sides have ended or one broke off. The promises are those of
// src/sidecar/clients/bridge.ts and src/sidecar/drivers/ssh/channels/channel-stream.ts: half-close is kept, and every break that we can know
// of reaches the client as a reset.
// connection_channel.cc has what the far side says, connection_client.cc the client's socket.
// Neighbours: listener.h accepts the client, link.h carries the channel, engine.h owns it.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backlog.h"
#include "bytes.h"
#include "descriptor.h"
#include "events.h"
#include "poller.h"
#include "window.h"

namespace engine {

class Engine;
class Link;
class Listener;

class Connection final : public Pollable {
 public:
  /** An unanswered dial over that link. */
  Connection(Engine& engine, Listener& listener, Link& link, Descriptor client);
  ~Connection();

  uint32_t id() const { return id_; }
  void setId(uint32_t id) { id_ = id; }
  const Link* link() const { return link_.get(); }
  Listener* listener() const { return listener_; }
  /** A client waits for the answer to its dial. */
  bool isOpening() const { return phase_ == Phase::opening && hasClient(); }
  bool hasClient() const { return bool(client_); }
  int64_t firstWindow() const { return window_.granted(); }

  // --- messages of the far side: connection_channel.cc. False: the message is malformed ---

  /** Takes a payload of a channel message after its type and recipient. */
  bool take(uint8_t type, Reader& message);

  /** The link carries nothing any more. */
  void linkEnded();

  // --- the client: connection_client.cc ---

  void ready(uint32_t events) override;
  /** The end of what one read of the link brought: it leaves in one call. */
  void writeBatch();
  /** The link has room again, or the window has. */
  void readClient();
  /** A dial that was not answered: the client goes back, nothing was read of it. */
  void handBack(DialCause cause, uint32_t reason = 0, std::string text = {});
  void reset(BrokenBy by) { part(by); }
  /** Whatever its time has come for. `now` in milliseconds. */
  void tick(double now);
  /** Waits for a point in time: `tick` must be called. */
  bool isTimed() const { return isTimed_; }

  /** Where the engine keeps it. */
  size_t place = 0;
  bool isInBatch = false;
  bool waitsForLink = false;

 private:
  enum class Phase : uint8_t { opening, open, farClosed };

  bool opened(Reader& message);
  bool refused(Reader& message);
  bool data(Reader& message);
  bool extendedData(Reader& message);
  bool adjusted(Reader& message);
  bool asked(Reader& message);
  void ended();
  void closed();

  void consumed(int64_t bytes);
  void sendEof();
  void sendClose();
  /** Nobody waits for the dial any more. `isCounted`: its time says something. */
  void endDial(bool isCounted, bool isSuccess);
  /** The far side says nothing about it any more. */
  void leaveLink();

  bool readOnce();
  void discard();
  bool reads() const;
  /** How much of the vectors the kernel took; -1 if the client is gone. */
  int64_t write(std::span<iovec> vectors);
  void dropBatch();
  void writeBacklog();
  void shutIfDue();
  void partIfEnded();
  void part(BrokenBy by) { part(by, by != BrokenBy::nobody); }
  void part(BrokenBy by, bool resets);
  void watch();
  void linger();
  void setTimed(bool isTimed);
  /** The client is no longer ours. */
  void leaveClient();
  void buryIfOver();

  Engine& engine_;
  Listener* listener_;
  std::shared_ptr<Link> link_;
  /** The link knows the channel. */
  bool isOnLink_ = true;
  bool isBuried_ = false;
  Descriptor client_;
  uint32_t id_ = 0;
  uint32_t remote_ = 0;
  uint32_t mostSent_ = 0;
  Phase phase_ = Phase::opening;
  bool clientEnded_ = false;
  bool farEnded_ = false;
  bool eofSent_ = false;
  bool closeSent_ = false;
  /** The client got its end. */
  bool isShut_ = false;
  /** The far side takes nothing any more: what the client sends is read and dropped. */
  bool isLingering_ = false;
  bool isTimed_ = false;
  int64_t outWindow_ = 0;
  InboundWindow window_;
  /** Of this read of the link, in its memory. */
  std::vector<iovec> batch_;
  Backlog backlog_;
  const double beganAt_;
  double dueAt_;
  uint64_t toDestination_ = 0;
  uint64_t toClient_ = 0;
};

}  // namespace engine
