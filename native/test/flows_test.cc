// Several clients at a time whose bytes go both ways in an order that a seed decides: slow readers, small windows, destinations that echo,
// new keys in between. The bastion and the destinations here keep the protocol, so everything must arrive, unchanged and with a clean end,
// and nobody may wait for ever. Then the same with breaks: what a client got before a clean end must still be everything.
// Neighbours: world.h has the engine, fuzz.cc is a bastion that keeps nothing.
#include <poll.h>

#include <cerrno>

#include "check.h"
#include "world.h"

namespace {

using engine::Descriptor;
using world::numberAt;
using world::World;
namespace message = engine::message;

/** splitmix64. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t below(uint32_t bound) {
    uint64_t z = (state_ += 0x9e37'79b9'7f4a'7c15);
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return uint32_t((z ^ (z >> 31)) % bound);
  }
  bool chance(uint32_t inverse) { return below(inverse) == 0; }
  std::string text(size_t size) {
    std::string made(size, ' ');
    for (char& one : made) one = char(below(256));
    return made;
  }

 private:
  uint64_t state_;
};

/** A client, and the destination that it reaches. */
struct Flow {
  Descriptor client;
  /** What the client sends, and what the destination does: the same if it echoes. */
  std::string request;
  std::string answer;
  bool echoes;
  size_t clientSent = 0;
  bool clientShut = false;
  std::string clientGot;
  bool clientDone = false;
  /** `recv` shows an end, if a send told of the reset. */
  bool wasReset = false;
  /** Something broke that the client must hear of. */
  bool mayReset = false;
  /** Our channel's id, 0 before the dial was seen. */
  uint32_t id = 0;
  bool isOpen = false;
  /** What the engine may send, and the bastion. */
  int64_t engineMay = 0;
  int64_t bastionMay = 0;
  std::string got;
  bool gotEof = false;
  bool gotClose = false;
  size_t sent = 0;
  size_t credited = 0;
  bool sentEof = false;
  bool sentClose = false;

  bool isOver() const { return clientDone && (clientShut || wasReset || !client); }
  bool isClosed() const { return sentClose && (gotClose || !isOpen); }
  size_t progress() const {
    return clientSent + clientGot.size() + got.size() + sent + credited + clientDone + gotEof + gotClose + sentEof + sentClose;
  }
};

class Flows {
 public:
  Flows(uint64_t seed, bool breaks) : random_(seed), most_(1 + random_.below(8)), breaks_(breaks) {}

  void run() {
    for (int i = 0; i < 3000 && !isLost_; ++i) {
      step();
      if (breaks_ && random_.chance(60)) breakSomething();
    }
    if (world_.isExchanging && !isLost_) world_.exchangeKeys([this] { readLink(); });
    finish();
    world_.run();
    EQUAL(world_.used(), isLost_ ? 0.0 : world_.linkMemory);
    EQUAL(world_.linkCells[engine::linkCell::channels], 0.0);
    EQUAL(world_.linkCells[engine::linkCell::opening], 0.0);
    EQUAL(world_.cell(engine::listenerCell::open), 0.0);
    CHECK(gotNothing_ <= backs_);
    if (!breaks_) EQUAL(world_.cell(engine::listenerCell::endedClean), double(flows_.size()));
  }

 private:
  void step() {
    const uint32_t what = random_.below(20);
    if (what == 0 && flows_.size() < most_ && !world_.isExchanging) connect();
    if (flows_.empty()) return;
    const size_t who = random_.below(uint32_t(flows_.size()));
    if (what < 5) {
      send(flows_[who]);
    } else if (what < 7) {
      receive(flows_[who], 1 + random_.below(20'000));
    } else if (what < 9) {
      readLink();
    } else if (what < 12) {
      serve(uint32_t(who));
    } else if (what == 12) {
      if (random_.chance(40)) world_.exchangeKeys([this] { readLink(); });
    } else if (what < 18) {
      world_.engine.turn();
    } else {
      world_.bastion->flush();
    }
    CHECK(!world_.toldLink->loss);
  }

  void breakSomething() {
    if (flows_.empty()) return;
    Flow& flow = flows_[random_.below(uint32_t(flows_.size()))];
    switch (random_.below(9)) {
      case 0:
      case 1:
        // The destination resets, or has closed both sides while the client still sends.
        if (!flow.isOpen || flow.sentClose) return;
        if (!flow.sentEof) flow.mayReset = true;
        world_.bastion->send({message::close, flow.id});
        flow.sentClose = true;
        break;
      case 2:
      case 3:
        engine::setResetOnClose(flow.client, true);
        flow.client.close();
        flow.clientDone = true;
        break;
      case 4:
        world_.listener->takeBack(*world_.link);
        break;
      case 5:
        if (flow.id == 0 || flow.isOpen || flow.sentClose) return;
        world_.bastion->send({message::openFailure, flow.id, 2}, "refused", true);
        flow.sentClose = true;
        break;
      case 6:
        if (!random_.chance(8)) return;
        for (Flow& each : flows_) each.mayReset = true;
        world_.listener->resetAll();
        break;
      default:
        if (random_.chance(10)) lose();
    }
  }

  void lose() {
    isLost_ = true;
    for (Flow& each : flows_) each.mayReset = true;
    switch (random_.below(3)) {
      case 0:
        world_.bastion->hangUp();
        break;
      case 1:
        world_.bastion->sendRaw(std::array<uint8_t, 4>{0xff, 0xff, 0xff, 0xff});
        break;
      default:
        world_.link->close();
    }
  }

  /** Until all have ended. Whoever waits longer than the kernel can let it wait, waits for ever. */
  void finish() {
    size_t before = 0;
    int idle = 0;
    for (bool isOver = false; !isOver;) {
      isOver = true;
      size_t progress = 0;
      for (uint32_t i = 0; i < flows_.size(); ++i) {
        send(flows_[i]);
        receive(flows_[i], 64 * 1024);
        serve(i);
        progress += flows_[i].progress();
        isOver = isOver && flows_[i].isOver() && (isLost_ || flows_[i].isClosed());
      }
      world_.engine.turn();
      world_.bastion->flush();
      readLink();
      CHECK(!world_.toldLink->loss || isLost_);
      // Whoever gets them ends them.
      backs_ += world_.told->backs.size();
      world_.told->backs.clear();
      idle = progress == before ? idle + 1 : 0;
      before = progress;
      CHECK(idle < 20'000);
      pollfd waits{world_.engine.descriptor(), POLLIN, 0};
      if (idle > 100) poll(&waits, 1, 1);
    }
  }

  void connect() {
    world::TcpPair pair = world::connected();
    limit(pair.client, SO_RCVBUF, random_.chance(2) ? 30'000 : 100'000);
    limit(pair.accepted, SO_SNDBUF, random_.chance(2) ? 4'000 : 30'000);
    Flow flow;
    flow.client = std::move(pair.client);
    flow.echoes = random_.chance(2);
    flow.request = random_.text(random_.chance(3) ? random_.below(50) : random_.below(300'000));
    flow.answer = flow.echoes ? flow.request : random_.text(random_.below(300'000));
    flows_.push_back(std::move(flow));
    world_.listener->take(std::move(pair.accepted));
  }

  static void limit(const Descriptor& socket, int option, int bytes) {
    setsockopt(socket.get(), SOL_SOCKET, option, &bytes, sizeof bytes);
  }

  // --- the client ---

  void send(Flow& flow) {
    const size_t rest = flow.request.size() - flow.clientSent;
    if (rest == 0) {
      if (!flow.clientShut) shutdown(flow.client.get(), SHUT_WR);
      flow.clientShut = true;
      return;
    }
    const size_t most = std::min<size_t>(rest, 1 + random_.below(60'000));
    const ssize_t took = ::send(flow.client.get(), flow.request.data() + flow.clientSent, most, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (took > 0) flow.clientSent += size_t(took);
    if (took < 0 && errno != EAGAIN) flow.wasReset = true;
  }

  void receive(Flow& flow, size_t most) {
    if (flow.clientDone) return;
    char bytes[64 * 1024];
    const ssize_t got = recv(flow.client.get(), bytes, most, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) flow.clientGot.append(bytes, size_t(got));
    CHECK(flow.answer.starts_with(flow.clientGot));
    if (got > 0) return;
    flow.clientDone = true;
    flow.wasReset = flow.wasReset || got < 0;
    if (flow.wasReset) {
      if (!flow.mayReset) wasGivenBack(flow);
    } else if (!flow.sentEof || flow.clientGot.size() < flow.answer.size()) {
      wasGivenBack(flow);
    }
  }

  /** A client whose dial failed gets nothing of the engine, but the end that whoever has it then likes. */
  void wasGivenBack(const Flow& flow) {
    EQUAL(flow.clientGot, "");
    ++gotNothing_;
  }

  // --- the bastion, and the destination behind it ---

  void readLink() {
    for (const std::string& one : world_.bastion->read()) take(one);
  }

  void take(const std::string& it) {
    const uint8_t type = uint8_t(it[0]);
    if (type == message::keyExchangeInit || type == message::newKeys) return;
    if (type == message::open) {
      Flow& flow = flows_.at(dialled_++);
      const uint32_t name = numberAt(it, 1);
      flow.id = numberAt(it, 5 + name);
      flow.bastionMay = numberAt(it, 9 + name);
      return;
    }
    Flow& flow = flows_.at(numberAt(it, 1));
    CHECK(!flow.gotClose);
    switch (type) {
      case message::data:
        CHECK(!flow.gotEof);
        flow.got += it.substr(9);
        flow.engineMay -= int64_t(it.size() - 9);
        CHECK(flow.engineMay >= 0);
        CHECK(flow.request.starts_with(flow.got));
        break;
      case message::windowAdjust:
        flow.bastionMay += numberAt(it, 5);
        break;
      case message::eof:
        CHECK(!flow.gotEof);
        flow.gotEof = true;
        EQUAL(flow.got.size(), flow.request.size());
        break;
      default:
        EQUAL(int(type), int(message::close));
        flow.gotClose = true;
    }
  }

  void serve(uint32_t remote) {
    Flow& flow = flows_[remote];
    if (flow.id == 0 || flow.sentClose) return;
    if (!flow.isOpen) {
      flow.isOpen = true;
      flow.engineMay = 500 + random_.below(random_.chance(2) ? 30'000 : 100'000);
      const uint32_t mostPacket = 1 + random_.below(random_.chance(2) ? 2'000 : 40'000);
      world_.bastion->send({message::openConfirmation, flow.id, remote, uint32_t(flow.engineMay), mostPacket});
      return;
    }
    if (!flow.gotClose) answer(flow);
    // Who echoes reads no more than it can send on.
    const size_t consumed = flow.echoes ? flow.sent : flow.got.size();
    if (!flow.gotEof && consumed > flow.credited && !random_.chance(3)) {
      world_.bastion->send({message::windowAdjust, flow.id, uint32_t(consumed - flow.credited)});
      flow.engineMay += int64_t(consumed - flow.credited);
      flow.credited = consumed;
    }
    if (!flow.gotClose) return;
    CHECK(flow.sentEof || breaks_);
    world_.bastion->send({message::close, flow.id});
    flow.sentClose = true;
  }

  void answer(Flow& flow) {
    const size_t has = flow.echoes ? flow.got.size() : flow.answer.size();
    for (int i = 0; i < 4 && flow.sent < has && flow.bastionMay > 0; ++i) {
      const size_t most = 1 + random_.below(random_.chance(4) ? 400 : 32'000);
      const size_t now = std::min({most, has - flow.sent, size_t(flow.bastionMay)});
      world_.bastion->send({message::data, flow.id}, flow.answer.substr(flow.sent, now), true);
      flow.sent += now;
      flow.bastionMay -= int64_t(now);
    }
    if (flow.sentEof || flow.sent < flow.answer.size() || (flow.echoes && !flow.gotEof)) return;
    world_.bastion->send({message::eof, flow.id});
    flow.sentEof = true;
  }

  Random random_;
  World world_;
  const size_t most_;
  const bool breaks_;
  /** The link. */
  bool isLost_ = false;
  /** Clients that the engine gave back, and those that saw an end without a byte before. */
  size_t backs_ = 0;
  size_t gotNothing_ = 0;
  std::vector<Flow> flows_;
  size_t dialled_ = 0;
};

TEST("flows: everything arrives, with a clean end, in whatever order it is read, sent and allowed") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    // The last one that is printed is the one that failed.
    std::printf("  seed %u\n", seed);
    std::fflush(stdout);
    Flows(seed, false).run();
  }
}

TEST("flows: a client gets everything before a clean end, else a reset, whatever breaks") {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    std::printf("  seed %u\n", seed);
    std::fflush(stdout);
    Flows(seed, true).run();
  }
}

}  // namespace
