// A kernel that watches no further socket: it has memory for so many (/proc/sys/fs/epoll/max_user_watches), which other processes may use up.
#include <cerrno>

#include "check.h"
#include "world.h"

namespace {

using engine::Descriptor;
using world::FullKernel;
using world::World;
namespace cell = engine::listenerCell;

TEST("poller: a client that cannot be watched is reset, not left to hang; its session goes on") {
  World world;
  const Descriptor client = world.connect();
  {
    const FullKernel full;
    world.confirm();
  }
  EQUAL(world::received(client), "!");
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.cell(cell::resetBySession), 1.0);
  const Descriptor next = world.connect();
  world.data(world.confirm(), "answer");
  EQUAL(world::received(next), "answer");
}

TEST("poller: a session whose socket cannot be watched is lost at once, with the reason") {
  World world;
  auto events = std::make_unique<world::ToldLink>();
  world::ToldLink* told = events.get();
  double cells[engine::linkCell::length] = {};
  int both[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) == 0);
  const Descriptor far(both[1]);
  const auto link = std::make_shared<engine::Link>(world.engine, Descriptor(both[0]), cells, 500, std::move(events));
  world.engine.add(link);
  {
    const FullKernel full;
    CHECK(link->start());
  }
  world.run();
  CHECK(told->loss == engine::Loss::broken);
}

TEST("poller: a listener that cannot be watched says so") {
  World world;
  engine::ListenResult listening = engine::listenOn({"127.0.0.1", 0});
  double cells[cell::length] = {};
  const auto listener = std::make_shared<engine::Listener>(world.engine, std::move(listening.socket), engine::Destination::tcp("db", 5432),
                                                           10'000, cells, std::make_unique<world::ToldListener>());
  {
    const FullKernel full;
    CHECK(!listener->start());
    EQUAL(errno, ENOSPC);
  }
  CHECK(listener->start());
}

}  // namespace
