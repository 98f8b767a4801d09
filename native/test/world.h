// An engine between real sockets: a bastion that speaks packets, clients over TCP, and whatever the engine told. Time stands still unless a
// test moves it. Neighbours: connection_test.cc, link_test.cc, flows_test.cc, fuzz.cc.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../engine.h"
#include "../link.h"
#include "../listener.h"

namespace world {

extern double now;

constexpr double total = 64 * 1024 * 1024;

/** Two ends of a TCP connection on this machine, the first as if it had been accepted by a listener of the engine. */
struct TcpPair {
  engine::Descriptor accepted;
  engine::Descriptor client;
};
TcpPair connected();

struct ToldLink final : engine::LinkEvents {
  void payload(engine::ConstBytes bytes) override;
  void drained() override { ++drains; }
  void busy(bool isBusy) override { busyChanges += isBusy ? '+' : '-'; }
  void lost(engine::Loss why, int) override;
  void released() override { ++releases; }

  std::vector<std::string> payloads;
  std::function<void(engine::ConstBytes)> onPayload;
  std::string busyChanges;
  std::optional<engine::Loss> loss;
  int drains = 0;
  int releases = 0;
};

struct ToldListener final : engine::ListenerEvents {
  void client(engine::Descriptor client, const std::optional<engine::DialFailure>& failure) override;
  void answered() override { ++answers; }
  void idle() override { ++idles; }
  bool wantsDials() const override { return true; }
  void dialled(double tookMs) override { dials.push_back(tookMs); }
  bool wantsEnds() const override { return true; }
  void ended(const engine::ClientEnd& end) override { ends.push_back(end.brokenBy); }
  void released() override { ++releases; }

  struct Back {
    engine::Descriptor client;
    std::optional<engine::DialFailure> failure;
  };
  std::vector<Back> backs;
  std::vector<double> dials;
  std::vector<engine::BrokenBy> ends;
  int answers = 0;
  int idles = 0;
  int releases = 0;
};

/** The far side of a link. */
class Bastion {
 public:
  explicit Bastion(engine::Descriptor socket);

  /** Sends one payload. */
  void send(engine::ConstBytes payload);
  void send(std::initializer_list<uint32_t> typeAndNumbers, const std::string& text = {}, bool hasText = false);
  /** A request about a channel that wants an answer, as sshd's keep-alives are. */
  void ask(uint32_t id);
  /** Bytes that are no packet. */
  void sendRaw(engine::ConstBytes bytes);
  /** Cleanly: with bytes that it has not read, the kernel would reset. */
  void hangUp() {
    read();
    socket_.close();
  }
  /** What its socket did not take before. */
  void flush() { outbox_.flush(socket_); }
  /** All payloads that have come. */
  std::vector<std::string> read();
  /** The next one of that type, others are skipped; empty if there is none. */
  std::string next(uint8_t type);
  void setKeys(uint8_t key);

 private:
  engine::Descriptor socket_;
  engine::Outbox outbox_{1 << 20};
  engine::Inbox inbox_{1 << 20};
  std::deque<std::string> waiting_;
};

uint32_t numberAt(const std::string& payload, size_t at);

/** One link and one listener. */
class World {
 public:
  World();
  ~World();

  /** Serves everything that is ready, until nothing is. */
  void run();
  /** Time goes by. */
  void wait(double ms);

  /** A client whose dial is under way. */
  engine::Descriptor connect();
  /** Answers the oldest dial; returns its channel's id at our side. */
  uint32_t confirm(uint32_t remote = 7, uint32_t window = 1 << 20, uint32_t packet = 32 * 1024);
  void data(uint32_t id, const std::string& text);
  /** Our KEXINIT, at the next call our NEWKEYS and the new keys of both sides; `read` takes what the bastion still gets with the old ones. */
  void exchangeKeys(const std::function<void()>& read);

  double cell(size_t which) const { return cells[which]; }
  double used() const { return budgetCells[1]; }
  int toldLinkReleases() const { return toldLink->releases; }
  double linkMemory = 0;
  bool isExchanging = false;

  std::array<double, 2> budgetCells{};
  std::array<double, engine::linkCell::length> linkCells{};
  std::array<double, engine::listenerCell::length> cells{};
  engine::Engine engine;
  std::optional<Bastion> bastion;
  ToldLink* toldLink = nullptr;
  ToldListener* told = nullptr;
  std::shared_ptr<engine::Link> link;
  std::shared_ptr<engine::Listener> listener;
};

/** While it lives the kernel has no memory to watch one more socket. */
struct FullKernel {
  FullKernel();
  ~FullKernel();
};

/** What has come for a client: the bytes, then "|" for its end or "!" for a reset. */
std::string received(const engine::Descriptor& client);
void write(const engine::Descriptor& client, const std::string& text);

}  // namespace world
