#include <netinet/in.h>
#include <netinet/tcp.h>

#include "check.h"
#include "world.h"

namespace {

using engine::BrokenBy;
using engine::Descriptor;
using engine::DialCause;
using world::numberAt;
using world::received;
using world::World;
using world::write;
namespace cell = engine::listenerCell;
namespace message = engine::message;

/** Sends until the far side may send no more, or so much: then neither kernel takes more. Returns what was sent. */
std::string fill(World& world, uint32_t id, size_t most) {
  std::string sent;
  int64_t window = 128 * 1024;
  while (sent.size() < most) {
    for (std::string adjust = world.bastion->next(message::windowAdjust); !adjust.empty();
         adjust = world.bastion->next(message::windowAdjust)) {
      window += numberAt(adjust, 5);
    }
    if (window < 30'000) break;
    const std::string piece(30'000, char('a' + sent.size() / 30'000 % 26));
    window -= 30'000;
    sent += piece;
    world.data(id, piece);
  }
  return sent;
}

constexpr size_t everything = SIZE_MAX;

/** All that still comes, up to an end or so many bytes. */
std::string drain(World& world, const Descriptor& client, size_t most) {
  std::string got;
  for (int i = 0; i < 10'000 && got.size() < most && (got.empty() || (got.back() != '|' && got.back() != '!')); ++i) {
    world.run();
    got += received(client);
  }
  return got;
}

std::string bytesOf(const std::string& dataMessage) { return dataMessage.empty() ? "" : dataMessage.substr(9); }

TEST("connection: the dial says where to, without our address") {
  World world;
  const Descriptor client = world.connect();
  const std::string open = world.bastion->next(message::open);
  EQUAL(open.substr(5, 12), "direct-tcpip");
  EQUAL(numberAt(open, 17), engine::firstChannelId);
  EQUAL(numberAt(open, 21), 128u * 1024);
  EQUAL(numberAt(open, 25), 128u * 1024);
  EQUAL(open.substr(29), std::string("\0\0\0\2db\0\0\x15\x38\0\0\0\x09"
                                     "127.0.0.1\0\0\0\0", 27));
  EQUAL(world.cell(cell::open), 1.0);
  EQUAL(world.linkCells[engine::linkCell::opening], 1.0);
}

TEST("connection: bytes both ways, half-close both ways, then nothing is left") {
  World world;
  const Descriptor client = world.connect();
  write(client, "early");
  const uint32_t id = world.confirm(70);
  EQUAL(bytesOf(world.bastion->next(message::data)), "early");
  write(client, " late");
  shutdown(client.get(), SHUT_WR);
  world.run();
  EQUAL(bytesOf(world.bastion->next(message::data)), " late");
  EQUAL(numberAt(world.bastion->next(message::eof), 1), 70u);
  world.data(id, "answer");
  EQUAL(received(client), "answer");
  world.bastion->send({message::eof, id});
  world.run();
  EQUAL(received(client), "|");
  EQUAL(numberAt(world.bastion->next(message::close), 1), 70u);
  EQUAL(world.linkCells[engine::linkCell::channels], 1.0);
  world.bastion->send({message::close, id});
  world.run();
  EQUAL(world.linkCells[engine::linkCell::channels], 0.0);
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.cell(cell::endedClean), 1.0);
  EQUAL(world.cell(cell::toDestination), 10.0);
  EQUAL(world.cell(cell::toClient), 6.0);
  EQUAL(world.used(), world.linkMemory);
  EQUAL(world.toldLink->busyChanges, "+-");
  EQUAL(world.told->idles, 1);
}

TEST("connection: a close without an end resets the client") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.data(id, "half a res");
  world.bastion->send({message::close, id});
  world.run();
  EQUAL(received(client).back(), '!');
  EQUAL(world.cell(cell::resetByDestination), 1.0);
  EQUAL(world.used(), world.linkMemory);
}

TEST("connection: an end and a close in one read do not cut what came with them") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.bastion->send({message::data, id}, "whole", true);
  world.bastion->send({message::eof, id});
  world.bastion->send({message::close, id});
  world.run();
  EQUAL(received(client), "whole|");
  EQUAL(world.cell(cell::open), 1.0);
  // The far side takes no more: what still comes is dropped.
  write(client, "too late");
  shutdown(client.get(), SHUT_WR);
  world.run();
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.cell(cell::endedClean), 1.0);
  EQUAL(received(client), "|");
  EQUAL(world.bastion->next(message::data), "");
}

TEST("connection: a client that stays after the far side's close is reset after 30 s, once it has taken everything") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.bastion->send({message::data, id}, "whole", true);
  world.bastion->send({message::eof, id});
  world.bastion->send({message::close, id});
  world.run();
  world.wait(29'900);
  EQUAL(world.cell(cell::open), 1.0);
  // Else its kernel acknowledges the end some time later.
  const int now = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_QUICKACK, &now, sizeof now);
  EQUAL(received(client), "whole|");
  world.wait(200);
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.cell(cell::endedClean), 1.0);
  CHECK(send(client.get(), "x", 1, MSG_NOSIGNAL) < 0 || send(client.get(), "x", 1, MSG_NOSIGNAL) < 0);
}

TEST("connection: a client that resets takes the channel with it") {
  World world;
  Descriptor client = world.connect();
  const uint32_t id = world.confirm(9);
  engine::setResetOnClose(client, true);
  client.close();
  world.run();
  EQUAL(numberAt(world.bastion->next(message::close), 1), 9u);
  EQUAL(world.cell(cell::brokenByClient), 1.0);
  // Although the far side has not closed it yet.
  EQUAL(world.used(), world.linkMemory);
  EQUAL(world.linkCells[engine::linkCell::channels], 1.0);
  world.data(id, "nobody takes it");
  world.bastion->send({message::close, id});
  world.run();
  EQUAL(world.linkCells[engine::linkCell::channels], 0.0);
  EQUAL(world.used(), world.linkMemory);
}

TEST("connection: a client that resets is noticed although the far side allows nothing, before and after its end") {
  for (const bool ends : {false, true}) {
    World world;
    Descriptor client = world.connect();
    const uint32_t id = world.confirm(9, 4);
    write(client, ends ? "0123" : "01234567");
    world.run();
    if (ends) shutdown(client.get(), SHUT_WR);
    world.run();
    engine::setResetOnClose(client, true);
    client.close();
    world.run();
    EQUAL(numberAt(world.bastion->next(message::close), 1), 9u);
    EQUAL(world.cell(cell::brokenByClient), 1.0);
    world.bastion->send({message::close, id});
    world.run();
    EQUAL(world.used(), world.linkMemory);
  }
}

TEST("connection: a client that leaves after the far side's end leaves no timer behind") {
  World world;
  Descriptor client = world.connect();
  const uint32_t id = world.confirm(9);
  world.bastion->send({message::eof, id});
  world.run();
  engine::setResetOnClose(client, true);
  client.close();
  world.run();
  world.bastion->send({message::close, id});
  world.run();
  CHECK(!world.engine.needsTick());
}

TEST("connection: a refused dial gives the client back, with the far side's words and nothing read") {
  World world;
  const Descriptor client = world.connect();
  write(client, "hello");
  const std::string open = world.bastion->next(message::open);
  world.bastion->send({message::openFailure, numberAt(open, 17), 2}, "Connection\x1b refused", true);
  world.run();
  EQUAL(world.told->backs.size(), size_t(1));
  const auto& back = world.told->backs[0];
  CHECK(back.failure->cause == DialCause::refused);
  EQUAL(back.failure->reason, 2u);
  EQUAL(back.failure->text, "Connection  refused");
  char bytes[16];
  EQUAL(recv(back.client.get(), bytes, sizeof bytes, MSG_DONTWAIT), ssize_t(5));
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.cell(cell::carried), 0.0);
  EQUAL(world.linkCells[engine::linkCell::opening], 0.0);
  EQUAL(world.used(), world.linkMemory);
}

TEST("connection: a dial without an answer gives the client back; a late answer is closed") {
  World world;
  const Descriptor client = world.connect();
  world.wait(9'900);
  EQUAL(world.told->backs.size(), size_t(0));
  world.wait(200);
  EQUAL(world.told->backs.size(), size_t(1));
  CHECK(world.told->backs[0].failure->cause == DialCause::timeout);
  EQUAL(world.linkCells[engine::linkCell::opening], 0.0);
  const uint32_t id = world.confirm(33);
  EQUAL(numberAt(world.bastion->next(message::close), 1), 33u);
  world.bastion->send({message::close, id});
  world.run();
  EQUAL(world.linkCells[engine::linkCell::channels], 0.0);
  EQUAL(world.told->answers, 0);
  CHECK(!world.engine.needsTick());
}

TEST("connection: a dial that was answered in time is carried, however late we look") {
  World world;
  const Descriptor client = world.connect();
  const std::string open = world.bastion->next(message::open);
  world.bastion->send({message::openConfirmation, numberAt(open, 17), 7, 1 << 20, 32 * 1024});
  // The process was frozen meanwhile; its timers run before it reads.
  world.wait(20'000);
  EQUAL(world.told->backs.size(), size_t(0));
  EQUAL(world.cell(cell::carried), 1.0);
}

TEST("connection: dials over a silent link are taken back, open clients stay") {
  World world;
  const Descriptor open = world.connect();
  world.confirm();
  const Descriptor waits = world.connect();
  world.listener->takeBack(*world.link);
  world.run();
  EQUAL(world.told->backs.size(), size_t(1));
  CHECK(world.told->backs[0].failure->cause == DialCause::taken);
  EQUAL(world.cell(cell::open), 1.0);
}

TEST("connection: a lost link resets open clients and gives back those that wait, after it was told") {
  World world;
  const Descriptor open = world.connect();
  world.confirm();
  const Descriptor waits = world.connect();
  world.bastion->hangUp();
  world.run();
  CHECK(world.toldLink->loss == engine::Loss::closed);
  EQUAL(received(open), "!");
  EQUAL(world.told->backs.size(), size_t(1));
  CHECK(world.told->backs[0].failure->cause == DialCause::lost);
  EQUAL(world.cell(cell::resetBySession), 1.0);
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.used(), 0.0);
  // A new client finds no link.
  const Descriptor late = world.connect();
  CHECK(!world.told->backs[1].failure);
}

TEST("connection: a whole answer reaches its client although the link is lost") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  shutdown(client.get(), SHUT_WR);
  world.run();
  world.bastion->send({message::data, id}, std::string(30'000, 'x'), true);
  world.bastion->send({message::eof, id});
  world.bastion->hangUp();
  world.run();
  EQUAL(received(client), std::string(30'000, 'x') + "|");
  EQUAL(world.cell(cell::endedClean), 1.0);
  EQUAL(world.cell(cell::open), 0.0);
}

TEST("connection: a clean close does not cut what the client's kernel has not taken yet") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  shutdown(client.get(), SHUT_WR);
  world.run();
  const std::string sent = fill(world, id, 600'000);
  world.bastion->send({message::eof, id});
  world.bastion->send({message::close, id});
  world.run();
  // It is all in the hands of our kernel.
  EQUAL(world.cell(cell::endedClean), 1.0);
  CHECK(drain(world, client, everything) == sent + "|");
}

TEST("connection: a client that is given back ends as whoever has it then likes") {
  World world;
  const Descriptor client = world.connect();
  world.cells[cell::places] = 0;
  const Descriptor other = world.connect();
  world.wait(10'100);
  EQUAL(world.told->backs.size(), size_t(2));
  for (const auto& back : world.told->backs) {
    linger value{1, 1};
    socklen_t size = sizeof value;
    CHECK(getsockopt(back.client.get(), SOL_SOCKET, SO_LINGER, &value, &size) == 0);
    EQUAL(value.l_onoff, 0);
  }
}

TEST("connection: a client that has not taken the whole answer is not reset after 30 s") {
  // What waits lies in our kernel, or in our memory as well.
  for (const size_t size : {size_t(600'000), everything}) {
    World world;
    const Descriptor client = world.connect();
    const uint32_t id = world.confirm();
    const std::string sent = fill(world, id, size);
    world.bastion->send({message::eof, id});
    world.bastion->send({message::close, id});
    world.run();
    world.wait(30'100);
    world.wait(30'100);
    EQUAL(world.cell(cell::open), 1.0);
    CHECK(drain(world, client, everything) == sent + "|");
  }
}

TEST("connection: a lost link takes nothing of a whole answer that waits for its client") {
  // The client has ended; or the far side takes no more although it has not.
  for (const bool clientEnds : {true, false}) {
    World world;
    const Descriptor client = world.connect();
    const uint32_t id = world.confirm();
    if (clientEnds) shutdown(client.get(), SHUT_WR);
    world.run();
    const std::string sent = fill(world, id, everything);
    world.bastion->send({message::eof, id});
    if (!clientEnds) world.bastion->send({message::close, id});
    world.run();
    // Both sides have said all: the channel is closed, whatever the client has taken.
    CHECK(!world.bastion->next(message::close).empty());
    EQUAL(world.cell(cell::open), 1.0);
    world.bastion->hangUp();
    world.run();
    CHECK(world.toldLink->loss.has_value());
    CHECK(drain(world, client, everything) == sent + "|");
    if (!clientEnds) shutdown(client.get(), SHUT_WR);
    world.run();
    EQUAL(world.cell(cell::endedClean), 1.0);
  }
}

TEST("connection: a client that could still have sent is reset with the link, although the answer is whole") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.bastion->send({message::data, id}, "whole", true);
  world.bastion->send({message::eof, id});
  world.run();
  world.bastion->hangUp();
  world.run();
  EQUAL(world.cell(cell::resetBySession), 1.0);
}

TEST("connection: bytes stay in their order when a slow client goes on") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  std::string sent = fill(world, id, everything);
  std::string got = received(client).substr(0);
  // There is room in the kernel now, and our memory has older bytes.
  std::vector<uint8_t> payload(64);
  engine::Writer writer(payload);
  writer.u8(message::data);
  writer.u32(id);
  writer.string("the last");
  world.link->takePayload(engine::ConstBytes(payload).first(writer.size()));
  world.engine.endBatch();
  sent += "the last";
  got += drain(world, client, sent.size() - got.size());
  CHECK(got == sent);
}

TEST("connection: after its end the far side says nothing more, and after ours we do not either") {
  World world;
  Descriptor client = world.connect();
  const uint32_t id = world.confirm(9);
  world.bastion->send({message::eof, id});
  world.data(id, "after the end");
  EQUAL(received(client), "|");
  engine::setResetOnClose(client, true);
  client.close();
  world.run();
  CHECK(!world.bastion->next(message::close).empty());
  world.bastion->ask(id);
  world.run();
  EQUAL(world.bastion->read().size(), size_t(0));
}

TEST("connection: half an answer is reset with the link") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.bastion->send({message::data, id}, "half", true);
  world.bastion->hangUp();
  world.run();
  EQUAL(received(client).back(), '!');
}

TEST("connection: what a slow client does not take waits within its window, and then arrives whole") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  std::string sent;
  int64_t window = 128 * 1024;
  int round = 0;
  const auto sendAll = [&] {
    for (std::string adjust = world.bastion->next(message::windowAdjust); !adjust.empty();
         adjust = world.bastion->next(message::windowAdjust)) {
      window += numberAt(adjust, 5);
    }
    while (window >= 30'000) {
      const std::string piece(30'000, char('a' + round++ % 26));
      window -= 30'000;
      sent += piece;
      world.data(id, piece);
    }
  };
  // The kernel's own buffers are full at some point.
  for (int i = 0; i < 1'000 && window >= 30'000; ++i) sendAll();
  CHECK(window < 30'000);
  CHECK(world.used() - world.linkMemory <= 2 * 1024 * 1024);
  CHECK(world.used() - world.linkMemory >= 16 * 1024);
  world.bastion->send({message::eof, id});
  std::string got;
  // Each look waits 2 ms at most.
  for (int i = 0; i < 10'000 && got.size() <= sent.size(); ++i) {
    world.run();
    got += received(client);
  }
  EQUAL(got.size(), sent.size() + 1);
  EQUAL(world.cell(cell::toClient), double(sent.size()));
  CHECK(got == sent + "|");
}

TEST("connection: what the far side does not allow stays with the client") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm(5, 10, 4);
  write(client, "0123456789abc");
  world.run();
  std::string got;
  for (int i = 0; i < 3; ++i) got += bytesOf(world.bastion->next(message::data)) + ",";
  EQUAL(got, "0123,4567,89,");
  EQUAL(world.bastion->next(message::data), "");
  world.bastion->send({message::windowAdjust, id, 2});
  world.run();
  EQUAL(bytesOf(world.bastion->next(message::data)), "ab");
}

TEST("connection: an end that cannot be read yet does not keep the loop busy") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm(5, 4);
  write(client, "01234567");
  shutdown(client.get(), SHUT_WR);
  world.bastion->send({message::eof, id});
  world.run();
  EQUAL(received(client), "|");
  // `run` would not have returned.
  world.bastion->send({message::windowAdjust, id, 100});
  world.run();
  EQUAL(bytesOf(world.bastion->next(message::data)), "0123");
  EQUAL(bytesOf(world.bastion->next(message::data)), "4567");
  CHECK(!world.bastion->next(message::close).empty());
  EQUAL(world.cell(cell::endedClean), 1.0);
}

TEST("connection: what waits for a slow client arrives although the far side allows nothing more meanwhile") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm(5, 4);
  const std::string sent = fill(world, id, everything);
  // Both are ready in one round, the link first: its message lets all be read that the far side allows, before the client's turn comes.
  world.bastion->send({message::windowAdjust, id, 1});
  write(client, "0123456789");
  world.run();
  EQUAL(bytesOf(world.bastion->next(message::data)), "01234");
  CHECK(drain(world, client, sent.size()) == sent);
}

TEST("connection: without a place nobody is taken, and none that is there has to go") {
  World world;
  world.cells[cell::places] = 1;
  const Descriptor first = world.connect();
  const Descriptor second = world.connect();
  EQUAL(world.told->backs.size(), size_t(1));
  CHECK(!world.told->backs[0].failure);
  world.cells[cell::places] = 0;
  world.confirm();
  EQUAL(world.cell(cell::open), 1.0);
}

TEST("connection: the end of the tunnel resets all clients, those as well that are on their way back") {
  World world;
  const Descriptor open = world.connect();
  world.confirm();
  const Descriptor opening = world.connect();
  world::TcpPair untold = world::connected();
  world.cells[cell::places] = 0;
  world.listener->take(std::move(untold.accepted));
  world.listener->resetAll();
  world.run();
  EQUAL(received(open), "!");
  EQUAL(received(opening), "!");
  EQUAL(received(untold.client), "!");
  EQUAL(world.cell(cell::resetByDrain), 2.0);
  EQUAL(world.linkCells[engine::linkCell::opening], 0.0);
  EQUAL(world.cell(cell::open), 0.0);
  EQUAL(world.told->backs.size(), size_t(0));
  EQUAL(world.told->idles, 1);
}

TEST("connection: answers are told at once, then at most once a second, and the last is not lost") {
  World world;
  std::vector<Descriptor> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(world.connect());
    world.confirm();
  }
  EQUAL(world.told->dials.size(), size_t(3));
  EQUAL(world.told->answers, 1);
  world.wait(1'100);
  EQUAL(world.told->answers, 2);
  world.wait(1'100);
  EQUAL(world.told->answers, 2);
  CHECK(!world.engine.needsTick());
  EQUAL(world.cell(cell::carried), 3.0);
}

TEST("connection: a client that is carried is reset when the process dies") {
  World world;
  const Descriptor client = world.connect();
  world.confirm();
  linger value{};
  socklen_t size = sizeof value;
  world::TcpPair pair = world::connected();
  CHECK(getsockopt(pair.accepted.get(), SOL_SOCKET, SO_LINGER, &value, &size) == 0);
  EQUAL(value.l_onoff, 1);
  EQUAL(value.l_linger, 0);
}

}  // namespace
