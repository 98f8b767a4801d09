#include <array>

#include "../backlog.h"
#include "../bytes.h"
#include "../inbox.h"
#include "../outbox.h"
#include "check.h"

namespace {

using engine::Bytes;
using engine::ConstBytes;

const std::array<uint8_t, 16> key{1, 2, 3};
const std::array<uint8_t, 12> nonce{0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255};

std::string textOf(ConstBytes bytes) { return {bytes.begin(), bytes.end()}; }

/** Two ends of a socket. */
struct Pair {
  engine::Descriptor ours;
  engine::Descriptor theirs;
  Pair() {
    int both[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) == 0);
    ours = engine::Descriptor(both[0]);
    theirs = engine::Descriptor(both[1]);
  }
};

void put(engine::Outbox& outbox, const std::string& payload) {
  const Bytes room = outbox.begin(payload.size());
  std::memcpy(room.data(), payload.data(), payload.size());
  outbox.finish(payload.size());
}

void carry(const engine::Descriptor& from, engine::Inbox& inbox) {
  for (;;) {
    const Bytes room = inbox.room();
    const ssize_t got = recv(from.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    inbox.took(size_t(got));
    if (size_t(got) == room.size()) return;
  }
}

std::string next(engine::Inbox& inbox) {
  Bytes payload;
  switch (inbox.next(payload)) {
    case engine::Inbox::Next::payload:
      return textOf(payload);
    case engine::Inbox::Next::incomplete:
      return "(incomplete)";
    case engine::Inbox::Next::bad:
      return "(bad)";
  }
  return "";
}

TEST("bytes: a reader says once that something is missing, and gives nothing from then on") {
  const std::array<uint8_t, 10> bytes{7, 0, 0, 0, 2, 'o', 'k', 0, 0, 9};
  engine::Reader reader(bytes);
  EQUAL(reader.u8(), 7);
  EQUAL(textOf(reader.string()), "ok");
  CHECK(reader.ok());
  EQUAL(reader.u32(), 0u);
  CHECK(!reader.ok());
  EQUAL(reader.u8(), 0);
}

TEST("bytes: a string longer than what is there is none, also with a length near 2^32") {
  const std::array<uint8_t, 6> bytes{255, 255, 255, 255, 1, 2};
  engine::Reader reader(bytes);
  CHECK(reader.string().empty());
  CHECK(!reader.ok());
}

TEST("bytes: a writer writes nothing beyond its room") {
  std::array<uint8_t, 8> room{};
  engine::Writer writer(Bytes(room).first(6));
  writer.u8(1);
  writer.u32(2);
  writer.u32(3);
  CHECK(!writer.ok());
  EQUAL(writer.size(), size_t(5));
  EQUAL(room[6], 0);
}

TEST("packets: payloads arrive as they were sent, across the carry of the counter") {
  Pair pair;
  engine::Outbox outbox(64 * 1024);
  engine::Inbox inbox(64 * 1024);
  CHECK(outbox.setKey(key, nonce));
  CHECK(inbox.setKey(key, nonce));
  for (int i = 0; i < 40; ++i) put(outbox, std::string(size_t(i) + 1, char('a' + i % 26)));
  CHECK(outbox.unsent() > 0);
  EQUAL(outbox.flush(pair.ours), 0);
  EQUAL(outbox.unsent(), size_t(0));
  carry(pair.theirs, inbox);
  for (int i = 0; i < 40; ++i) EQUAL(next(inbox), std::string(size_t(i) + 1, char('a' + i % 26)));
  EQUAL(next(inbox), "(incomplete)");
}

TEST("packets: are whole however they were cut on their way") {
  Pair pair;
  engine::Outbox outbox(64 * 1024);
  CHECK(outbox.setKey(key, nonce));
  for (int i = 0; i < 60; ++i) put(outbox, std::string(size_t(i) * 7 + 1, char('a' + i % 26)));
  EQUAL(outbox.flush(pair.ours), 0);
  std::vector<uint8_t> read(64 * 1024);
  const ssize_t all = recv(pair.theirs.get(), read.data(), read.size(), MSG_DONTWAIT);
  CHECK(all > 0);
  for (const size_t piece : {size_t(1), size_t(3), size_t(37), size_t(1000)}) {
    engine::Inbox inbox(1024);
    CHECK(inbox.setKey(key, nonce));
    int seen = 0;
    for (size_t at = 0; at < size_t(all); at += piece) {
      inbox.add(ConstBytes(read).subspan(at, std::min(piece, size_t(all) - at)));
      for (std::string payload = next(inbox); payload != "(incomplete)"; payload = next(inbox)) {
        EQUAL(payload, std::string(size_t(seen) * 7 + 1, char('a' + seen % 26)));
        ++seen;
      }
    }
    EQUAL(seen, 60);
  }
}

TEST("packets: what is held is sealed later, in order, with the key of then; a whole packet passes") {
  Pair pair;
  engine::Outbox outbox(4096);
  engine::Inbox inbox(4096);
  CHECK(outbox.setKey(key, nonce));
  CHECK(inbox.setKey(key, nonce));
  outbox.hold(true);
  put(outbox, "first");
  put(outbox, "second");
  std::array<uint8_t, 4 + 16 + 16> packet{0, 0, 0, 16, 10, 20, 'k', 'e', 'x', 0, 0};
  packet[4] = 10;
  CHECK(outbox.sealPacket(packet));
  const std::array<uint8_t, 32> other{9};
  CHECK(outbox.setKey(other, nonce));
  outbox.hold(false);
  EQUAL(outbox.flush(pair.ours), 0);
  carry(pair.theirs, inbox);
  EQUAL(next(inbox).substr(1, 3), "kex");
  CHECK(inbox.setKey(other, nonce));
  EQUAL(next(inbox), "first");
  EQUAL(next(inbox), "second");
  EQUAL(outbox.unsent(), size_t(0));
}

TEST("packets: a packet whose lengths do not fit together is not sealed") {
  engine::Outbox outbox(4096);
  CHECK(outbox.setKey(key, nonce));
  std::array<uint8_t, 4 + 16 + 16> packet{0, 0, 0, 17};
  CHECK(!outbox.sealPacket(packet));
  packet[3] = 32;
  CHECK(!outbox.sealPacket(packet));
  CHECK(!outbox.sealPacket(ConstBytes(packet).first(20)));
  const auto tiny = std::make_unique<uint8_t[]>(3);
  CHECK(!outbox.sealPacket({tiny.get(), 3}));
  packet[3] = 16;
  CHECK(outbox.sealPacket(packet));
}

TEST("packets: impossible lengths, a changed byte and a padding longer than the packet are bad") {
  for (const uint32_t length : {0u, 8u, 17u, 132'080u, 0xffff'fff0u}) {
    engine::Inbox inbox(64 * 1024);
    CHECK(inbox.setKey(key, nonce));
    std::vector<uint8_t> packet(64);
    engine::put32(packet.data(), length);
    inbox.add(packet);
    EQUAL(next(inbox), "(bad)");
  }
  Pair pair;
  engine::Outbox outbox(4096);
  CHECK(outbox.setKey(key, nonce));
  put(outbox, "hello");
  EQUAL(outbox.flush(pair.ours), 0);
  std::array<uint8_t, 256> read{};
  const ssize_t got = recv(pair.theirs.get(), read.data(), read.size(), MSG_DONTWAIT);
  CHECK(got > 0);
  read[6] ^= 1;
  engine::Inbox inbox(4096);
  CHECK(inbox.setKey(key, nonce));
  inbox.add(ConstBytes(read).first(size_t(got)));
  EQUAL(next(inbox), "(bad)");

  engine::Gcm gcm(engine::Direction::seal);
  CHECK(gcm.setKey(key, nonce));
  std::array<uint8_t, 4 + 16 + 16> padded{0, 0, 0, 16, 16};
  CHECK(gcm.run(padded.data(), 16));
  engine::Inbox other(4096);
  CHECK(other.setKey(key, nonce));
  other.add(padded);
  EQUAL(next(other), "(bad)");
}

TEST("packets: more than the memory holds is kept, and leaves when there is room") {
  Pair pair;
  engine::Outbox outbox(4096);
  engine::Inbox inbox(64 * 1024);
  CHECK(outbox.setKey(key, nonce));
  CHECK(inbox.setKey(key, nonce));
  const int count = 100;
  for (int i = 0; i < count; ++i) put(outbox, std::string(1000, 'x') + std::to_string(i));
  int seen = 0;
  while (seen < count) {
    EQUAL(outbox.flush(pair.ours), 0);
    carry(pair.theirs, inbox);
    for (std::string payload = next(inbox); payload != "(incomplete)"; payload = next(inbox)) {
      EQUAL(payload, std::string(1000, 'x') + std::to_string(seen));
      ++seen;
    }
  }
  EQUAL(outbox.unsent(), size_t(0));
  EQUAL(outbox.capacity(), size_t(4096));
}

TEST("packets: what is held counts as the packets that it becomes") {
  engine::Outbox outbox(4096);
  CHECK(outbox.setKey(key, nonce));
  outbox.hold(true);
  for (int i = 0; i < 100; ++i) put(outbox, "12345");
  const size_t held = outbox.unsent();
  outbox.hold(false);
  CHECK(held >= outbox.unsent());
}

TEST("backlog: single bytes share memory, and stay in their order when it is taken and filled in turns") {
  engine::Backlog backlog;
  std::string kept;
  std::string got;
  const auto keep = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      kept.push_back(char('a' + kept.size() % 26));
      backlog.keep({reinterpret_cast<const uint8_t*>(&kept.back()), 1});
    }
  };
  const auto take = [&](size_t most) {
    std::array<iovec, 4> shown{};
    size_t taken = 0;
    for (size_t i = 0; i < backlog.show(shown); ++i) {
      const size_t now = std::min(shown[i].iov_len, most - taken);
      got.append(static_cast<const char*>(shown[i].iov_base), now);
      taken += now;
    }
    backlog.drop(taken);
    return taken;
  };
  keep(10'000);
  EQUAL(take(10'000), size_t(10'000));
  CHECK(backlog.isEmpty());
  while (got.size() < 50'000) {
    keep(3'000);
    take(2'900);
  }
  while (!backlog.isEmpty()) take(100'000);
  CHECK(got == kept);
}

}  // namespace
