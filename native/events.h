// What the engine tells whoever uses it: addon/ passes it on to JavaScript, the tests look at it. The promises about when are those of
// src/sidecar/base/native-engine.ts.
// Neighbours: engine.cc tells all of it but payloads, link.cc those.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "bytes.h"
#include "descriptor.h"

namespace engine {

class Link;

/** Why a link ended by itself. The order is that of addon/names.h. */
enum class Loss : uint8_t { closed, broken, packet, window, flood, noPacket, unread, keys };

enum class DialCause : uint8_t { refused, timeout, lost, taken };

struct DialFailure {
  std::shared_ptr<Link> link;
  DialCause cause;
  /** RFC 4254 §5.1; 0 unless refused. */
  uint32_t reason = 0;
  /** The far side's words, at most 200 printable bytes. */
  std::string text;
  double tookMs = 0;
};

enum class BrokenBy : uint8_t { nobody, client, destination, session, drain };

struct ClientEnd {
  std::shared_ptr<Link> link;
  uint64_t toDestination;
  uint64_t toClient;
  double durationMs;
  BrokenBy brokenBy;
};

class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  /** A payload that is not of the engine's channels, valid during the call. */
  virtual void payload(ConstBytes payload) = 0;
  virtual void drained() = 0;
  virtual void busy(bool isBusy) = 0;
  virtual void lost(Loss loss, int error) = 0;
  /** The last one: nothing of the link is told any more. */
  virtual void released() = 0;
};

class ListenerEvents {
 public:
  virtual ~ListenerEvents() = default;
  virtual void client(Descriptor client, const std::optional<DialFailure>& failure) = 0;
  virtual void answered() = 0;
  virtual void idle() = 0;
  /** Whether `dialled` is to be called. */
  virtual bool wantsDials() const = 0;
  /** A dial was answered by success. */
  virtual void dialled(double tookMs) = 0;
  /** Whether `ended` is to be called. */
  virtual bool wantsEnds() const = 0;
  virtual void ended(const ClientEnd& end) = 0;
  virtual void released() = 0;
};

/** Numbers that are shared with JavaScript, in its memory. */
namespace linkCell {
enum : size_t { bytesRead, bytesWritten, unsent, channels, opening, exchangingKeys, ownChannels, roundTripMs, length };
}
namespace listenerCell {
constexpr size_t buckets = 13;
enum : size_t {
  places,
  open,
  carried,
  toDestination,
  toClient,
  endedClean,
  brokenByClient,
  resetByDestination,
  resetBySession,
  resetByDrain,
  dialSecondsSum,
  dialBuckets,
  length = dialBuckets + buckets,
};
}

}  // namespace engine
