#include <sys/resource.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "check.h"
#include "world.h"

namespace {

using engine::Descriptor;
using engine::ListenAddress;
using engine::listenOn;
using world::World;
namespace cell = engine::listenerCell;

Descriptor connectTo(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return client;
}

/** A listener with a port of its own, over the world's link. */
struct Port {
  explicit Port(World& world) {
    engine::ListenResult listening = listenOn({"", 0});
    CHECK(listening.error == 0);
    number = engine::addressOf(listening.socket).port;
    auto events = std::make_unique<world::ToldListener>();
    told = events.get();
    listener = std::make_shared<engine::Listener>(world.engine, std::move(listening.socket),
                                                  engine::Destination::unixSocket("/run/db"), 10'000, cells.data(),
                                                  std::move(events));
    world.engine.add(listener);
    listener->setLinks({world.link});
    cells[cell::places] = 1000;
    CHECK(listener->start());
  }
  std::array<double, cell::length> cells{};
  uint16_t number;
  world::ToldListener* told;
  std::shared_ptr<engine::Listener> listener;
};

TEST("listener: says where it listens, or why it does not") {
  const engine::ListenResult any = listenOn({"", 0});
  CHECK(any.error == 0);
  const ListenAddress address = engine::addressOf(any.socket);
  CHECK(address.host == "::" || address.host == "0.0.0.0");
  CHECK(address.port > 0);
  EQUAL(listenOn({"", address.port}).error, EADDRINUSE);
  EQUAL(listenOn({"localhost", 0}).error, EINVAL);
  EQUAL(engine::addressOf(listenOn({"127.0.0.1", 0}).socket).host, "127.0.0.1");
}

TEST("listener: accepts over IPv4 and dials a unix socket; its port closes at once, its clients stay") {
  World world;
  Port port(world);
  const Descriptor client = connectTo(port.number);
  world.run();
  const std::string open = world.bastion->next(engine::message::open);
  EQUAL(open.substr(5, 30), "direct-streamlocal@openssh.com");
  EQUAL(open.substr(47), std::string("\0\0\0\7/run/db\0\0\0\0\0\0\0\0", 19));
  port.listener->stopAccepting();
  EQUAL(port.cells[cell::open], 1.0);
  CHECK(world.engine.keepsAlive());
  port.listener->close();
  world.run();
  EQUAL(world::received(client), "!");
  EQUAL(port.told->releases, 1);
}

TEST("listener: waits a moment if no descriptor is left for a client, and then takes it") {
  World world;
  Port port(world);
  const Descriptor client = connectTo(port.number);
  rlimit before{};
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  // It would never return, if epoll went on to report the client.
  world.run();
  CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
  EQUAL(port.cells[cell::open], 0.0);
  {
    const world::FullKernel full;
    world.wait(100);
  }
  EQUAL(port.cells[cell::open], 0.0);
  CHECK(world.engine.needsTick());
  world.wait(100);
  EQUAL(port.cells[cell::open], 1.0);
  CHECK(world.bastion->next(engine::message::open).size() > 0);
}

TEST("listener: spreads clients over its links") {
  World world;
  world.linkCells[engine::linkCell::ownChannels] = 2;
  // The other world's engine is another one: a second link of this one.
  int both[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) == 0);
  world::Bastion other{Descriptor(both[1])};
  std::array<double, engine::linkCell::length> cells{};
  auto link = std::make_shared<engine::Link>(world.engine, Descriptor(both[0]), cells.data(), 500,
                                             std::make_unique<world::ToldLink>());
  world.engine.add(link);
  std::array<uint8_t, 16> key{1};
  const std::array<uint8_t, 12> nonce{};
  CHECK(link->setSendKey(key, nonce) && link->setReceiveKey(key, nonce) && link->start());
  world.listener->setLinks({world.link, link});
  std::vector<Descriptor> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(world.connect());
  EQUAL(cells[engine::linkCell::channels], 3.0);
  EQUAL(world.linkCells[engine::linkCell::channels], 1.0);
  world.listener->setLinks({});
  clients.push_back(world.connect());
  EQUAL(world.told->backs.size(), size_t(1));
}

}  // namespace
