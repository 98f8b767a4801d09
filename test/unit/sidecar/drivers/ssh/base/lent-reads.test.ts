// Which bytes of the socket to a bastion are lent, and which are copied. The way of lent bytes to a client: clients/lent-bytes.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { eventually } from '../../../../../../lab/base/eventually.ts';
import { ByteBudget } from '../../../../../../src/sidecar/base/byte-budget.ts';
import { slabOf } from '../../../../../../src/sidecar/base/slab.ts';
import { lendableSocket, lendReads } from '../../../../../../src/sidecar/drivers/ssh/base/lent-reads.ts';

interface Reading extends AsyncDisposable {
  readonly far: Socket;
  readonly near: Socket;
  readonly ends: { visible: boolean };
  readonly chunks: { readonly bytes: string; readonly isLent: boolean }[];
  /** Sends, and resolves once our kernel's bytes have been read. */
  send(bytes: Buffer): Promise<void>;
}

async function reading(): Promise<Reading> {
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = lendableSocket().connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  server.close();
  const chunks: Reading['chunks'] = [];
  near.on('data', (bytes: Buffer) =>
    chunks.push({ bytes: bytes.toString('latin1'), isLent: slabOf(bytes) !== undefined }),
  );
  const ends = { visible: true };
  let sent = 0;
  return {
    far,
    near,
    ends,
    chunks,
    send: async (bytes) => {
      sent += bytes.length;
      far.write(bytes);
      await eventually('it is read', () => near.bytesRead === sent);
    },
    [Symbol.asyncDispose]: async () => {
      const gone = once(near, 'close');
      near.destroy();
      far.destroy();
      await gone;
    },
  };
}

function packet(carried: string): Buffer {
  const bytes = Buffer.alloc(4 + carried.length + 16, carried);
  bytes.writeUInt32BE(carried.length);
  bytes.write(carried, 4, 'latin1');
  return bytes;
}

test('bytes before a session are copied', async () => {
  await using r = await reading();
  await r.send(packet('login'));
  assert.deepEqual(r.chunks, [{ bytes: packet('login').toString('latin1'), isLent: false }]);
});

test('whole packets are lent, and a part of one waits for the rest', async () => {
  await using r = await reading();
  lendReads(r.near, r.ends, new ByteBudget());
  // Node reads once more into the memory that it had before.
  await r.send(packet('first'));
  const [one, two] = [packet('one'), packet('two')];
  await r.send(Buffer.concat([one, two.subarray(0, 6)]));
  assert.deepEqual(r.chunks.slice(1), [{ bytes: one.toString('latin1'), isLent: true }]);
  await r.send(two.subarray(6));
  assert.deepEqual(r.chunks.slice(2), [{ bytes: two.toString('latin1'), isLent: true }]);
});

test('packets whose ends cannot be seen are passed on as they come, in memory of their own', async () => {
  await using r = await reading();
  lendReads(r.near, r.ends, new ByteBudget());
  await r.send(packet('first'));
  r.ends.visible = false;
  const half = packet('hidden').subarray(0, 9);
  await r.send(half);
  assert.deepEqual(r.chunks.slice(1), [{ bytes: half.toString('latin1'), isLent: false }]);
});

test('what follows new keys that hide the ends of packets does not wait', async () => {
  await using r = await reading();
  lendReads(r.near, r.ends, new ByteBudget());
  await r.send(packet('first'));
  r.near.once('data', () => (r.ends.visible = false));
  const hidden = Buffer.from([0, 0, 1, 0, 9, 9, 9]);
  await r.send(Buffer.concat([packet('new keys'), hidden]));
  assert.deepEqual(r.chunks.slice(1), [
    { bytes: packet('new keys').toString('latin1'), isLent: true },
    { bytes: hidden.toString('latin1'), isLent: false },
  ]);
});

test('a length that no packet has goes to ssh2 at once, which ends the session', async () => {
  await using r = await reading();
  lendReads(r.near, r.ends, new ByteBudget());
  await r.send(packet('first'));
  const wrong = Buffer.alloc(40, 0xff);
  await r.send(wrong);
  assert.equal(r.chunks.at(-1)?.bytes, wrong.toString('latin1'));
});
