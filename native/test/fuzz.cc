// Throws channel messages, clients and times at an engine, as far as a bastion and clients can cause them, in an order that a seed decides.
// The sanitizers judge; besides, at the end of each program nothing may be left: no byte of the budget, no channel, no descriptor.
// It prints the seed of the program that failed: run that one alone with `fuzz 1 SEED`.
// Neighbours: world.h has the engine, main.cc and test/fuzz/native/engine-program.ts run it, test/corpus/native/seeds.txt keeps the seeds that once failed.
#include <dirent.h>
#include <sanitizer/common_interface_defs.h>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "world.h"

namespace {

using engine::ConstBytes;
using engine::Descriptor;
using world::World;
namespace message = engine::message;

uint64_t programSeed = 0;

/** splitmix64. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e37'79b9'7f4a'7c15);
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t bound) { return uint32_t(next() % bound); }
  bool chance(uint32_t inverse) { return below(inverse) == 0; }
  /** A number of the kind that breaks arithmetic. */
  uint32_t number() {
    constexpr uint32_t edges[] = {0, 1, 2, 4, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fff'ffff, 0x8000'0000, 0xffff'fffe, 0xffff'ffff};
    return chance(2) ? edges[below(std::size(edges))] : chance(2) ? below(100'000) : uint32_t(next());
  }

 private:
  uint64_t state_;
};

int descriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

class Program {
 public:
  explicit Program(uint64_t seed) : random_(seed) {}

  /** Returns how many steps it made: fewer if its link was lost. */
  int run(int steps) {
    int made = 0;
    for (; made < steps && !isOver_; ++made) step();
    finish();
    return made;
  }

 private:
  void step() {
    switch (random_.below(24)) {
      case 0:
      case 1:
      case 2:
        connect();
        break;
      case 3:
        client([](Descriptor& one, Random& random) {
          char bytes[4096] = {};
          send(one.get(), bytes, 1 + random.below(sizeof bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
        });
        break;
      case 4:
        client([](Descriptor& one, Random&) { shutdown(one.get(), SHUT_WR); });
        break;
      case 5:
        if (random_.chance(2)) client([](Descriptor& one, Random&) { one.close(); });
        break;
      case 6:
        client([](Descriptor& one, Random&) {
          char bytes[64 * 1024];
          while (recv(one.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
        });
        break;
      case 7:
        world_.bastion->read();
        break;
      case 8:
        world::now += random_.chance(4) ? random_.below(40'000) : random_.below(300);
        world_.engine.tick();
        break;
      case 9:
        if (random_.chance(8)) administer();
        break;
      case 10:
      case 11:
        world_.engine.turn();
        break;
      default:
        payload();
    }
    if (world_.toldLink->loss && random_.chance(4)) isOver_ = true;
  }

  void connect() {
    if (clients_.size() > 40) return;
    int both[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) == 0);
    clients_.emplace_back(both[1]);
    world_.listener->take(Descriptor(both[0]));
    ++ids_;
  }

  template <typename Act>
  void client(Act act) {
    if (clients_.empty()) return;
    act(clients_[random_.below(uint32_t(clients_.size()))], random_);
  }

  void administer() {
    switch (random_.below(8)) {
      case 0:
        world_.listener->takeBack(*world_.link);
        break;
      case 1:
        world_.cells[engine::listenerCell::places] = random_.below(20);
        break;
      case 2:
        if (random_.chance(8)) world_.listener->resetAll();
        break;
      case 3:
        if (random_.chance(8)) world_.link->close();
        break;
      case 4:
        if (random_.chance(8)) world_.listener->close();
        break;
      case 5:
        if (random_.chance(8)) world_.engine.close();
        break;
      case 6:
        world_.exchangeKeys([this] { world_.bastion->read(); });
        break;
      default:
        world_.linkCells[engine::linkCell::roundTripMs] = double(random_.below(200));
    }
  }

  void payload() {
    std::vector<uint8_t> bytes(64 + (random_.chance(4) ? random_.below(33'000) : random_.below(200)));
    engine::Writer writer(bytes);
    if (random_.chance(2000)) {
      for (int i = 0; i < 20; ++i) writer.u8(uint8_t(random_.next()));
    } else {
      writer.u8(random_.chance(200) ? uint8_t(21 + random_.below(235)) : uint8_t(message::openConfirmation + random_.below(10)));
      const uint32_t id = random_.chance(40) ? 0x8000'0000u | random_.number() : engine::firstChannelId + random_.below(ids_ + 1);
      writer.u32(id);
      body(writer, bytes[0]);
    }
    size_t size = writer.size();
    if (random_.chance(1000)) size = 1 + random_.below(uint32_t(size));
    if (isLinkOver()) return;
    if (random_.chance(2)) {
      // As a packet, which is read with others and in pieces.
      world_.bastion->send(ConstBytes(bytes).first(size));
      return;
    }
    world_.link->takePayload(ConstBytes(bytes).first(size));
    if (random_.chance(3)) world_.engine.endBatch();
    if (random_.chance(5)) {
      world_.engine.endBatch();
      world_.engine.settle();
    }
    // In the engine a batch ends before the memory that it lies in is used again.
    world_.engine.endBatch();
  }

  void body(engine::Writer& writer, uint8_t type) {
    switch (type) {
      case message::openConfirmation:
        writer.u32(random_.number());
        writer.u32(random_.chance(3) ? random_.number() : 1 << 20);
        writer.u32(random_.chance(200) ? random_.number() : 32 * 1024);
        break;
      case message::openFailure:
        writer.u32(random_.below(5));
        text(writer, random_.below(300));
        break;
      case message::windowAdjust:
        writer.u32(random_.number());
        break;
      case message::extendedData:
        writer.u32(1);
        text(writer, random_.below(2000));
        break;
      case message::request:
        text(writer, random_.below(30));
        writer.u8(uint8_t(random_.below(2)));
        break;
      case message::data:
        text(writer, random_.chance(20) ? random_.below(32'768) : random_.below(100));
        break;
      default:
        break;
    }
  }

  void text(engine::Writer& writer, uint32_t length) {
    writer.u32(random_.chance(3000) ? random_.number() : length);
    for (uint32_t i = 0; i < length && writer.ok(); i += 64) {
      const std::array<uint8_t, 64> piece{};
      writer.bytes(ConstBytes(piece).first(std::min<size_t>(64, length - i)));
    }
  }

  bool isLinkOver() const { return world_.toldLink->loss.has_value() || world_.link->isLost(); }

  void finish() {
    if (random_.chance(2)) {
      world_.bastion->hangUp();
      world_.engine.turn();
    }
    world_.link->close();
    world_.listener->close();
    world_.engine.turn();
    if (world_.used() != 0) check::fail(__FILE__, __LINE__, "the budget has " + std::to_string(world_.used()) + " left");
    CHECK(world_.toldLinkReleases() == 1);
    CHECK(!world_.engine.needsTick());
    CHECK(!world_.engine.keepsAlive());
  }

  Random random_;
  World world_;
  std::vector<Descriptor> clients_;
  uint32_t ids_ = 0;
  bool isOver_ = false;
};

}  // namespace

int fuzz(long long wanted, uint64_t seed) {
  std::signal(SIGABRT, [](int) {
    std::fprintf(stderr, "the program with seed %" PRIu64 " failed\n", programSeed);
    std::_Exit(1);
  });
  const auto onDeath = [] { std::fprintf(stderr, "the program with seed %" PRIu64 " failed\n", programSeed); };
  __sanitizer_set_death_callback(+onDeath);
  constexpr int stepsOfProgram = 2000;
  const int before = descriptors();
  for (long long done = 0; done < wanted;) {
    programSeed = seed++;
    done += Program(programSeed).run(stepsOfProgram);
    if (descriptors() != before) {
      std::fprintf(stderr, "the program with seed %" PRIu64 " left descriptors\n", programSeed);
      return 1;
    }
  }
  std::printf("%lld steps, seeds up to %" PRIu64 "\n", wanted, programSeed);
  return 0;
}
