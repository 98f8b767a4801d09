// Bytes that a session lends instead of copying, through real sockets: from the socket to a bastion over a channel to a client that stops
// reading now and then, and back. What is used again too early arrives wrong.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { eventually } from '../../../../lab/base/eventually.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import { slabBytes, slabOf } from '../../../../src/sidecar/base/slab.ts';
import { bridge } from '../../../../src/sidecar/clients/bridge.ts';
import { lendableSocket, lendReads } from '../../../../src/sidecar/drivers/ssh/base/lent-reads.ts';
import { ChannelStream } from '../../../../src/sidecar/drivers/ssh/channels/channel-stream.ts';
import type { InboundWindow } from '../../../../src/sidecar/drivers/ssh/channels/inbound-window.ts';
import { TransmitGate } from '../../../../src/sidecar/drivers/ssh/channels/transmit-gate.ts';

const KiB = 1024;

/** Never the same at two places that are less than 4 GiB apart. */
function numbered(from: number, bytes: number): Buffer {
  const first = from & ~3;
  const all = Buffer.alloc((from - first + bytes + 3) & ~3);
  for (let at = 0; at < all.length; at += 4) all.writeUInt32BE((first + at) / 4, at);
  return all.subarray(from - first, from - first + bytes);
}

function assertNumbered(bytes: Buffer, from: number): void {
  assert(
    bytes.equals(numbered(from, bytes.length)),
    `other bytes than sent between ${from} and ${from + bytes.length}`,
  );
}

/** A packet as AES-GCM shows it: length, what it carries, a tag. */
function packet(carried: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(carried.length);
  return Buffer.concat([length, carried, Buffer.alloc(16)]);
}

interface Pair {
  /** The end that the test made. */
  readonly near: Socket;
  readonly far: Socket;
}

async function pair(make: (port: number) => Socket): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = make((server.address() as AddressInfo).port);
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  server.close();
  for (const socket of [near, far]) socket.on('error', () => undefined);
  return { near, far };
}

interface World extends AsyncDisposable {
  /** The client's own end. */
  readonly client: Socket;
  /** What the tunnel sent to the far side. */
  readonly sent: Buffer[];
  readonly budget: ByteBudget;
  /** How many parts of slabs were passed on. */
  lent(): number;
  /** Closes or opens the way of what the client sends. */
  stall(isStalled: boolean): void;
  /** The far side sends a packet. */
  send(carried: Buffer): void;
  /** The far side ends the channel. */
  end(): void;
}

async function world(budget = new ByteBudget()): Promise<World> {
  const bastion = await pair((port) => lendableSocket().connect({ port, host: '127.0.0.1' }));
  const client = await pair((port) => connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }));
  bastion.far.resume();
  const sent: Buffer[] = [];
  let isStalled = false;
  const way = new PassThrough();
  const gate = new TransmitGate(way, () => isStalled);
  const stream = new ChannelStream({
    messages: {
      data: (_remote: number, bytes: Buffer) => void sent.push(Buffer.from(bytes)),
      adjustWindow: () => undefined,
      eof: () => undefined,
      close: () => undefined,
    } as unknown as ConstructorParameters<typeof ChannelStream>[0]['messages'],
    gate,
    budget,
    // The window is not what is tested here.
    inbound: { received: () => true, consumed: () => 0, release: () => undefined } as unknown as InboundWindow,
    remote: 1,
    outbound: { window: 2 ** 31, maxPacket: 32 * KiB },
    closedEarly: () => {
      throw new Error('closed early');
    },
    alive: () => true,
  });
  let lent = 0;
  lendReads(bastion.near, { visible: true }, budget);
  bastion.near.resume();
  const take = (whole: Buffer): void => {
    for (let at = 0; at < whole.length; ) {
      const length = whole.readUInt32BE(at);
      const carried = whole.subarray(at + 4, at + 4 + length);
      if (slabOf(carried) !== undefined) lent += 1;
      stream.receive(carried);
      at += 4 + length + 16;
    }
  };
  // Node reads once more into the memory that it had before.
  bastion.far.write(packet(Buffer.alloc(1)));
  await eventually('the first packet is read', () => bastion.near.bytesRead > 0);
  bastion.near.on('data', take);
  const result = bridge(client.far, stream, new AbortController().signal, {
    budget,
    traffic: { toDestination: 0, toClient: 0 },
  });
  return {
    client: client.near,
    sent,
    budget,
    lent: () => lent,
    stall: (stalled) => {
      isStalled = stalled;
      if (!stalled) gate.reopen();
    },
    send: (carried) => void bastion.far.write(packet(carried)),
    end: () => {
      stream.receiveEof();
      stream.receiveClose();
    },
    [Symbol.asyncDispose]: async () => {
      client.near.destroy();
      stream.destroy();
      way.destroy();
      const gone = once(bastion.near, 'close');
      bastion.near.destroy();
      bastion.far.destroy();
      await Promise.all([result, gone]);
      assert.equal(budget.used, 0, 'bytes are still counted');
    },
  };
}

const mebibyte = KiB * KiB;

/** Reads that many bytes, which are numbered from 0. */
async function readNumbered(client: Socket, bytes: number): Promise<void> {
  let at = 0;
  for await (const chunk of client.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    assertNumbered(chunk, at);
    at += chunk.length;
    if (at >= bytes) break;
  }
  assert.equal(at, bytes);
}

/** Packets of many sizes. Returns how many bytes they carry. */
function sendNumbered(w: World, atLeast: number): number {
  let at = 0;
  for (let i = 1; at < atLeast; i += 1) {
    const size = 4 * (1 + ((i * 7919) % (8 * KiB)));
    w.send(numbered(at, size));
    at += size;
  }
  return at;
}

test('lent bytes reach a client that reads, without a copy', async () => {
  await using w = await world();
  const arrived = readNumbered(w.client, sendNumbered(w, 4 * mebibyte));
  await arrived;
  assert(w.lent() > 100, `${w.lent()} packets were lent`);
});

test('lent bytes that a client does not take stay as they are until it does', async () => {
  await using w = await world();
  // More than all kernel buffers on the way hold.
  const bytes = sendNumbered(w, 24 * mebibyte);
  await eventually('bytes wait', () => w.budget.used >= slabBytes);
  await readNumbered(w.client, bytes);
  await eventually('what waited is given back', () => w.budget.used === 0);
});

test('where memory is scarce, bytes that are lent are copied', async () => {
  await using w = await world(new ByteBudget(slabBytes));
  const bytes = sendNumbered(w, 16 * mebibyte);
  await eventually('bytes wait', () => w.budget.used > 0);
  assert(w.budget.used < slabBytes, `${w.budget.used} bytes wait, as if a slab were pinned`);
  await readNumbered(w.client, bytes);
});

test('what a client sends is copied only where it has to wait', async () => {
  await using one = await world();
  await using other = await world();
  one.stall(true);
  one.client.write(numbered(0, mebibyte));
  await eventually('bytes of the first client wait', () => one.budget.used > 0);
  // Both clients are read into the same memory.
  other.client.write(Buffer.alloc(mebibyte, 0xff));
  const taken = (w: World): number => w.sent.reduce((sum, { length }) => sum + length, 0);
  await eventually('the other client is carried', () => taken(other) === mebibyte);
  one.stall(false);
  await eventually('the first client is carried', () => taken(one) === mebibyte);
  assertNumbered(Buffer.concat(one.sent), 0);
});
