#include "check.h"
#include "world.h"

namespace {

using engine::Descriptor;
using engine::Loss;
using world::numberAt;
using world::received;
using world::World;
using world::write;
namespace cell = engine::linkCell;
namespace message = engine::message;

std::vector<uint8_t> packetOf(std::initializer_list<uint8_t> payload) {
  std::vector<uint8_t> packet(4 + 32 + 16);
  engine::put32(packet.data(), 32);
  packet[4] = uint8_t(31 - payload.size());
  std::copy(payload.begin(), payload.end(), packet.begin() + 5);
  return packet;
}

TEST("link: what is not of its channels goes up, and only that") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.bastion->send({message::data, 3}, "of JavaScript", true);
  world.bastion->send({message::data, id}, "of a client", true);
  world.bastion->send({80}, "keepalive@openssh.com", true);
  world.bastion->send({message::data, 0xffff'fff0}, "of nobody", true);
  world.run();
  EQUAL(world.toldLink->payloads.size(), size_t(2));
  EQUAL(int(world.toldLink->payloads[0][0]), 94);
  EQUAL(int(world.toldLink->payloads[1][0]), 80);
  EQUAL(received(client), "of a client");
}

TEST("link: ends with the reason if the far side breaks the protocol") {
  const auto lossAfter = [](auto act) {
    World world;
    const Descriptor client = world.connect();
    const uint32_t id = world.confirm();
    act(world, id);
    world.run();
    CHECK(received(client).back() == '!');
    EQUAL(world.toldLink->releases, 1);
    EQUAL(world.used(), 0.0);
    return world.toldLink->loss;
  };
  CHECK(lossAfter([](World& world, uint32_t id) {
          // Before anything could be credited.
          for (int i = 0; i < 5; ++i) world.bastion->send({message::data, id}, std::string(30'000, 'x'), true);
        }) == Loss::window);
  CHECK(lossAfter([](World& world, uint32_t id) { world.bastion->send({message::data, id}); }) == Loss::packet);
  CHECK(lossAfter([](World& world, uint32_t id) { world.bastion->send({message::data, id, 99}); }) == Loss::packet);
  CHECK(lossAfter([](World& world, uint32_t) {
          const std::vector<uint8_t> bytes(64, 0xff);
          world.bastion->sendRaw(bytes);
        }) == Loss::packet);
  CHECK(lossAfter([](World& world, uint32_t id) {
          for (int i = 0; i < 600 && !world.toldLink->loss; ++i) {
            world.bastion->send({message::extendedData, id, 1}, std::string(32'000, 'x'), true);
            world.run();
          }
        }) == Loss::flood);
  CHECK(lossAfter([](World& world, uint32_t) { world.bastion->hangUp(); }) == Loss::closed);
}

TEST("link: ends if a channel allows no bytes at all") {
  World world;
  const Descriptor client = world.connect();
  world.confirm(1, 100, 0);
  CHECK(world.toldLink->loss == Loss::noPacket);
  EQUAL(world.told->backs.size(), size_t(1));
}

TEST("link: ends if its questions are not read") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  for (int i = 0; i < 100'000 && !world.toldLink->loss; ++i) {
    world.bastion->ask(id);
    if (i % 100 == 0) world.run();
  }
  CHECK(world.toldLink->loss == Loss::unread);
}

TEST("link: ends within a round that brings more questions than it may have answers waiting") {
  for (const bool isExchanging : {false, true}) {
    World world;
    const Descriptor client = world.connect();
    const uint32_t id = world.confirm();
    if (isExchanging) CHECK(world.link->sealPacket(packetOf({message::keyExchangeInit})));
    std::vector<uint8_t> request(64);
    engine::Writer writer(request);
    writer.u8(message::request);
    writer.u32(id);
    writer.string("");
    writer.u8(1);
    int asked = 0;
    while (!world.link->isLost() && asked < 100'000) {
      world.link->takePayload(engine::ConstBytes(request).first(writer.size()));
      ++asked;
    }
    // An answer is a packet of 36 bytes, and the far side's kernel takes some.
    CHECK(asked < 50'000);
    world.run();
    CHECK(world.toldLink->loss == Loss::unread);
  }
}

TEST("link: answers a request about a channel") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm(12);
  world.bastion->ask(id);
  world.run();
  EQUAL(numberAt(world.bastion->next(message::failure), 1), 12u);
}

TEST("link: nothing of a channel is sent between our KEXINIT and our NEWKEYS, and new clients go elsewhere") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  CHECK(world.link->sealPacket(packetOf({message::keyExchangeInit, 1, 2})));
  EQUAL(world.linkCells[cell::exchangingKeys], 1.0);
  write(client, "waits");
  world.data(id, "still comes");
  EQUAL(received(client), "still comes");
  world.bastion->send({message::eof, id});
  world.run();
  EQUAL(received(client), "|");
  const Descriptor other = world.connect();
  EQUAL(world.told->backs.size(), size_t(1));
  EQUAL(world.bastion->next(message::keyExchangeInit).size(), size_t(3));
  EQUAL(world.bastion->read().size(), size_t(0));
  CHECK(world.link->sealPacket(packetOf({message::newKeys})));
  world.run();
  EQUAL(world.bastion->next(message::newKeys).size(), size_t(1));
  std::array<uint8_t, 16> key{2};
  const std::array<uint8_t, 12> nonce{};
  world.toldLink->onPayload = [&](engine::ConstBytes payload) {
    if (payload[0] == message::newKeys) CHECK(world.link->setReceiveKey(key, nonce));
  };
  world.bastion->send({message::newKeys});
  world.run();
  world.bastion->setKeys(2);
  CHECK(world.link->setSendKey(key, nonce));
  EQUAL(world.linkCells[cell::exchangingKeys], 0.0);
  world.run();
  EQUAL(world.bastion->next(message::data).substr(9), "waits");
  world.bastion->send({message::close, id});
  world.run();
  CHECK(!world.toldLink->loss);
}

TEST("link: NEWKEYS without new keys end it, in both directions") {
  World world;
  world.bastion->send({message::newKeys});
  world.run();
  CHECK(world.toldLink->loss == Loss::keys);
  World other;
  CHECK(other.link->sealPacket(packetOf({message::keyExchangeInit})));
  CHECK(other.link->sealPacket(packetOf({message::newKeys})));
  CHECK(other.link->sealPacket(packetOf({80})));
  other.run();
  CHECK(other.toldLink->loss == Loss::keys);
}

TEST("link: clients are not read while too much is unsent, and it is told when that is over") {
  World world;
  const Descriptor client = world.connect();
  world.confirm(1, 1 << 30);
  const std::string block(64 * 1024, 'x');
  size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    const ssize_t wrote = send(client.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote < 0) break;
    sent += size_t(wrote);
    world.run();
  }
  CHECK(world.linkCells[cell::unsent] >= 256 * 1024);
  CHECK(world.linkCells[cell::unsent] <= 256 * 1024 + 40'000);
  // A question of ours is not behind more than that.
  CHECK(world.link->sealPacket(packetOf({80})));
  size_t got = 0;
  while (got < sent) {
    const auto payloads = world.bastion->read();
    CHECK(!payloads.empty());
    for (const auto& payload : payloads) {
      if (uint8_t(payload[0]) == message::data) got += payload.size() - 9;
    }
    world.run();
  }
  EQUAL(got, sent);
  CHECK(world.toldLink->drains > 0);
}

TEST("link: a client that is gone waits for no room any more") {
  World world;
  const Descriptor first = world.connect();
  world.confirm(1, 1 << 30);
  const Descriptor second = world.connect();
  const uint32_t id = world.confirm(2, 1 << 30);
  const std::string block(64 * 1024, 'x');
  for (int i = 0; i < 100; ++i) {
    send(first.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    world.run();
  }
  CHECK(world.linkCells[cell::unsent] >= 256 * 1024);
  write(second, "waits");
  world.run();
  world.bastion->send({message::close, id});
  world.run();
  EQUAL(received(second), "!");
  EQUAL(world.linkCells[cell::channels], 1.0);
  for (int i = 0; i < 200; ++i) {
    world.bastion->read();
    world.run();
  }
  EQUAL(world.linkCells[cell::unsent], 0.0);
}

TEST("link: may be closed while a payload goes up") {
  World world;
  const Descriptor client = world.connect();
  const uint32_t id = world.confirm();
  world.toldLink->onPayload = [&](engine::ConstBytes) { world.link->close(); };
  world.bastion->send({message::data, id}, "before", true);
  world.bastion->send({80});
  world.bastion->send({message::data, id}, "after", true);
  world.run();
  EQUAL(received(client).back(), '!');
  CHECK(!world.toldLink->loss);
  EQUAL(world.toldLink->releases, 1);
  EQUAL(world.toldLink->payloads.size(), size_t(1));
}

TEST("link: the engine may be closed while a payload goes up") {
  World world;
  const Descriptor client = world.connect();
  world.confirm();
  world.toldLink->onPayload = [&](engine::ConstBytes) { world.engine.close(); };
  world.bastion->send({80});
  world.run();
  EQUAL(received(client), "!");
  EQUAL(world.told->releases, 1);
  EQUAL(world.used(), 0.0);
}

TEST("link: says nothing of its loss once it was closed, but gives its clients back") {
  World world;
  const Descriptor waits = world.connect();
  world.link->end(Loss::packet);
  world.link->close();
  world.run();
  CHECK(!world.toldLink->loss);
  EQUAL(world.toldLink->releases, 1);
  EQUAL(world.told->backs.size(), size_t(1));
}

TEST("link: starts once") {
  World world;
  CHECK(!world.link->start(std::vector<uint8_t>(100)));
}

TEST("link: has room for as many channels as it may, those of JavaScript included") {
  World world;
  world.linkCells[cell::ownChannels] = 499;
  const Descriptor first = world.connect();
  const Descriptor second = world.connect();
  EQUAL(world.linkCells[cell::channels], 1.0);
  EQUAL(world.told->backs.size(), size_t(1));
}

TEST("link: asks to be woken for a quarter of a MiB at once while a transfer fills it, and for each byte afterwards") {
  World world;
  world::TcpPair pair = world::connected();
  const int number = pair.accepted.get();
  world::Bastion far(std::move(pair.client));
  std::array<double, cell::length> cells{};
  const auto link = std::make_shared<engine::Link>(world.engine, std::move(pair.accepted), cells.data(), 500,
                                                   std::make_unique<world::ToldLink>());
  world.engine.add(link);
  std::array<uint8_t, 16> key{1};
  const std::array<uint8_t, 12> nonce{};
  CHECK(link->setSendKey(key, nonce) && link->setReceiveKey(key, nonce) && link->start());
  const auto wakesAt = [&] {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    CHECK(getsockopt(number, SOL_SOCKET, SO_RCVLOWAT, &bytes, &size) == 0);
    return bytes;
  };
  EQUAL(wakesAt(), 1);
  // To a channel that is closed: it is read and dropped.
  for (int i = 0; i < 20; ++i) far.send({message::data, 0xffff'fff0}, std::string(32'000, 'x'), true);
  for (int i = 0; i < 10'000 && wakesAt() == 1; ++i) {
    far.flush();
    world.engine.turn();
  }
  EQUAL(wakesAt(), 256 * 1024);
  // The beats find less and less.
  world.run();
  EQUAL(wakesAt(), 1);
  EQUAL(cells[cell::bytesRead], 20 * (4 + 32'016 + 16.0));
}

}  // namespace
