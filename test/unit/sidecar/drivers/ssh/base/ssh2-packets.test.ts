// The memory of packets that are sent: ssh2 itself takes a buffer of its own for each.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { packInSlab } from '../../../../../../src/sidecar/drivers/ssh/base/ssh2-packets.ts';

const large = 16 * 1024;

/** A cipher as ssh2's native one, and a socket that has taken a packet only when `done` is called. */
function packing() {
  const cipher = {
    allocPacket: (payloadBytes: number): Buffer => {
      const packet = Buffer.alloc(4 + 16 + payloadBytes + 16);
      packet.writeUInt32BE(16 + payloadBytes);
      return packet;
    },
    encrypt: () => undefined,
  };
  const taken: (() => void)[] = [];
  const socket = new Writable({ write: (_chunk, _encoding, done) => void taken.push(done) });
  packInSlab(cipher, socket as unknown as Parameters<typeof packInSlab>[1]);
  return { cipher, socket, take: () => taken.shift()?.() };
}

const overlap = (one: Buffer, other: Buffer): boolean =>
  one.buffer === other.buffer &&
  one.byteOffset < other.byteOffset + other.length &&
  other.byteOffset < one.byteOffset + one.length;

test('packets that wait in the queue of the socket are never overwritten', () => {
  const { cipher, socket } = packing();
  const packets: Buffer[] = [];
  for (let i = 0; i < 60; i += 1) {
    const packet = cipher.allocPacket(large);
    assert(!packets.some((before) => overlap(before, packet)), `packet ${i} lies in one that waits`);
    packets.push(packet);
    socket.write(packet);
  }
  const small = cipher.allocPacket(9);
  assert(!packets.some((before) => overlap(before, small)));
});

test('once the socket has taken all, its memory takes the next packets', async () => {
  const { cipher, socket, take } = packing();
  const first = cipher.allocPacket(large);
  socket.write(first);
  const second = cipher.allocPacket(large);
  socket.write(second);
  take();
  take();
  await once(socket.end(), 'finish');
  const third = cipher.allocPacket(large);
  assert.equal(third.buffer, first.buffer);
  assert(overlap(third, first));
});
