// One ssh connection after its login: its packets, and who gets each of their payloads. ssh2 keeps the key exchange and all that is not of our
// channels; what it sends comes through `sealPacket`, what is for it goes up through LinkEvents::payload.
// Neighbours: inbox.h and outbox.h are its memory, connection.h its channels, engine.h owns it.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "connection.h"
#include "events.h"
#include "inbox.h"
#include "outbox.h"
#include "poller.h"

namespace engine {

class Engine;

/** RFC 4253 §6.1: the payload that every implementation must take; what we send is not longer. */
constexpr uint32_t sentPayloadBytes = 32 * 1024;
/** What we take: sshd sends as much as it has, and each packet costs both sides the same. */
constexpr uint32_t takenPayloadBytes = 128 * 1024;

/** JavaScript numbers its channels from 0. */
constexpr uint32_t firstChannelId = 0x8000'0000;

namespace message {
enum : uint8_t {
  keyExchangeInit = 20,
  newKeys = 21,
  open = 90,
  openConfirmation = 91,
  openFailure = 92,
  windowAdjust = 93,
  data = 94,
  extendedData = 95,
  eof = 96,
  close = 97,
  request = 98,
  success = 99,
  failure = 100,
};
}

class Link final : public Pollable, public std::enable_shared_from_this<Link> {
 public:
  /** `cells` (linkCell) stay where they are until `released`. */
  Link(Engine& engine, Descriptor socket, double* cells, uint32_t maxChannels, std::unique_ptr<LinkEvents> events);
  ~Link();

  // --- for ssh2 ---

  bool setSendKey(ConstBytes key, ConstBytes nonce);
  bool setReceiveKey(ConstBytes key, ConstBytes nonce);
  /** False if that is no packet. */
  bool sealPacket(ConstBytes packet);
  /** Takes bytes that were read before, then reads. False if they are too many, or it reads already. */
  bool start(ConstBytes early = {});

  /** Sends what the kernel takes now. */
  void push();

  // --- for the session ---

  /** Ended from our side: nothing more is told of it but its clients that go back. */
  void close();

  // --- for the engine and its parts ---

  void ready(uint32_t events) override;
  /** Sends what waits, and lets clients read on that waited for that. */
  void flush();
  /** Takes a payload that was opened. Tests begin here. */
  void takePayload(ConstBytes payload);
  void end(Loss loss, int error = 0);

  bool isLost() const { return isLost_; }
  /** It may have one more channel now. */
  bool takesDials() const;
  uint32_t load() const;
  void dial(Connection& connection, std::string_view type, ConstBytes tail);
  /** The far side has answered the dial, or it is given up. */
  void countOpening(int change);
  void forget(Connection& connection);

  /** Bytes of clients may go out now; tries to make room. */
  bool makeRoom();
  void waitForRoom(Connection& connection);
  /** Memory for a payload of at most so many bytes, then its end. */
  Bytes begin(size_t most) { return outbox_->begin(most); }
  void finish(size_t payloadBytes);
  void send(uint8_t type, uint32_t channel);
  /** Refuses what the far side asked about a channel. Ends the link if too many answers wait. */
  void refuse(uint32_t channel);
  void sendAdjust(uint32_t channel, uint32_t bytes);

  double roundTripMs() const { return cells_[linkCell::roundTripMs]; }
  /** False once it is too much. */
  bool countExtended(uint32_t bytes);

  LinkEvents& events() { return *events_; }
  /** Each millisecond of a transfer that fills it. False once that is over. */
  bool pulse();
  void tellLost(Loss loss, int error);
  void tellChanges();
  void release();

  bool isDirty = false;
  bool isChanged = false;

 private:
  void read();
  void noteBulk(size_t bytes);
  void wakeAt(int bytes);
  bool takePackets();
  /** False if it has ended, because the kernel cannot watch its socket. */
  bool watch();
  bool write();
  void finished();
  void detach();
  uint32_t freeId();

  Engine& engine_;
  std::unique_ptr<LinkEvents> events_;
  Descriptor socket_;
  double* cells_;
  const uint32_t maxChannels_;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Outbox> outbox_;
  std::unordered_map<uint32_t, Connection*> channels_;
  std::deque<Connection*> waiting_;
  uint32_t nextId_ = firstChannelId;
  uint64_t extendedBytes_ = 0;
  /** Since then, or since the last pulse. */
  double recentSince_ = 0;
  size_t recentBytes_ = 0;
  int quietPulses_ = 0;
  bool isBulk_ = false;
  uint32_t receiveKeys_ = 0;
  bool isReading_ = false;
  bool isLost_ = false;
  /** From our side, perhaps after it was lost: nothing more is told. */
  bool isClosed_ = false;
  bool isExchanging_ = false;
  /** Our NEWKEYS has gone, and the next packet needs the new key. */
  bool lacksSendKey_ = true;
  /** The kernel takes no more until it says so. */
  bool isBlocked_ = false;
  bool isOver_ = false;
  bool isDrained_ = false;
  bool wasBusy_ = false;
};

}  // namespace engine
