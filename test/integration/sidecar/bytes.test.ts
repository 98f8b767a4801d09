// Bytes through a real sshd (docs/promises.md, promise 1): unchanged both ways, half-close kept, and a reset for every break.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { Sidecar } from '../../../src/sidecar/sidecar.ts';
import { isNative } from '../../support/data-path.ts';
import {
  type Bastion,
  client,
  endOf,
  openSidecar,
  startBastion,
  tunnelConfig,
  until,
  untilConnected,
} from './sidecar-world.ts';

const size = 64 * 1024 * 1024;
const block = randomBytes(1024 * 1024);

/**
 * Answers each connection as its first byte says: `E` echo, `D` download of `size` bytes, `H` the hash of all that came, `S` silence,
 * `B` a download without end while all that comes is taken.
 */
function startDestination(): Server {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first.subarray(1));
      const mode = String.fromCharCode(first[0] ?? 0);
      if (mode === 'E') socket.pipe(socket);
      if (mode === 'D') download(socket, size);
      if (mode === 'H') void hashOf(socket).then((hash) => socket.end(hash));
      if (mode === 'B') {
        download(socket, Number.POSITIVE_INFINITY);
        socket.resume();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  return server;
}

const sockets = new Set<Socket>();

/** Writes `bytes` of the repeated block, then ends. */
function download(socket: Socket, bytes: number): void {
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      const part = block.subarray(0, Math.min(left, block.length));
      left -= part.length;
      if (!socket.write(part)) {
        socket.once('drain', more);
        return;
      }
    }
    socket.end();
  };
  more();
}

async function hashOf(socket: Socket, counted: { bytes: number } = { bytes: 0 }): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    counted.bytes += chunk.length;
  }
  return hash.digest('hex');
}

function expectedHash(bytes: number): string {
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= block.length) hash.update(block.subarray(0, Math.min(left, block.length)));
  return hash.digest('hex');
}

let destination: Server;
let bastion: Bastion;
let sidecar: Sidecar;

/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  destination = startDestination();
  started.defer(() => {
    for (const socket of sockets) socket.destroy();
    destination.close();
  });
  await once(destination, 'listening');
  bastion = started.adopt(await startBastion(), async (it) => await it.stop());
  const { port } = destination.address() as AddressInfo;
  const config = tunnelConfig([bastion.hop], { forwards: [{ port }] });
  sidecar = started.adopt(await openSidecar(config), async (it) => await it.stop());
  await untilConnected(sidecar);
});

test('bytes take the path that this run is about', () => {
  assert.equal(sidecar.status().dataPath, isNative ? 'Native' : 'JavaScript');
});

test('64 MB both ways on eight connections arrive unchanged, past a ninth whose reader stops', async () => {
  const stopped = await client(sidecar);
  stopped.pause();
  stopped.write('D');
  const wanted = expectedHash(size);
  const upload = async (): Promise<void> => {
    const socket = await client(sidecar);
    socket.write('H');
    download(socket, size);
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    assert.equal(answer, wanted);
  };
  const fetch = async (): Promise<void> => {
    const socket = await client(sidecar);
    socket.write('D');
    assert.equal(await hashOf(socket), wanted);
    socket.end();
  };
  await Promise.all([upload(), fetch(), upload(), fetch(), upload(), fetch(), upload(), fetch()]);
  // The reader that stopped has lost nothing.
  assert.equal(await hashOf(stopped), wanted);
  stopped.destroy();
});

test('a client that ends its side first still gets the whole answer', async () => {
  const socket = await client(sidecar);
  socket.end('H12345');
  assert.equal(await readAll(socket), createHash('sha256').update('12345').digest('hex'));
});

test('a destination that ends its side first still gets what the client sends', async () => {
  const far = new Promise<Socket>((resolve) => destination.once('connection', resolve));
  const socket = await client(sidecar);
  socket.write('S');
  const peer = await far;
  await once(peer, 'data');
  peer.end('bye');
  assert.equal(await readAll(socket), 'bye');
  const heard = readAll(peer);
  peer.resume();
  socket.end('one more thing');
  assert.equal(await heard, 'one more thing');
});

test('a session killed in the middle of a transfer gives every client a reset, never a clean end', async () => {
  const transfers = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const socket = await client(sidecar);
      socket.write('B');
      const upload = setInterval(() => socket.write(block.subarray(0, 65_536)), 5);
      const end = endOf(socket).finally(() => clearInterval(upload));
      await once(socket, 'data');
      return { end };
    }),
  );
  bastion.sshd.killSessions();
  assert.deepEqual(new Set(await Promise.all(transfers.map(async ({ end }) => await end))), new Set(['ECONNRESET']));
  await untilConnected(sidecar);
});

test('idle clients of a killed session get a reset too', async () => {
  const idle = await client(sidecar);
  idle.write('Ex');
  await once(idle, 'data');
  const end = endOf(idle);
  bastion.sshd.killSessions();
  assert.equal(await end, 'ECONNRESET');
  await untilConnected(sidecar);
});

test('a client that breaks off ends its connection at the destination', async () => {
  const far = new Promise<Socket>((resolve) => destination.once('connection', resolve));
  const socket = await client(sidecar);
  socket.write('S');
  const peer = await far;
  await once(peer, 'data');
  const closed = once(peer, 'close');
  peer.on('end', () => peer.end());
  peer.resume();
  socket.resetAndDestroy();
  await closed;
});

test('one client more than the maximum gets a reset, and a free place is used again', async () => {
  const { port } = destination.address() as AddressInfo;
  const config = tunnelConfig([bastion.hop], { forwards: [{ port }], connection: { maxConnections: 2 } });
  const small = await openSidecar(config);
  try {
    await untilConnected(small);
    const [one, two] = [await client(small), await client(small)];
    one.write('Ex');
    two.write('Ex');
    await Promise.all([once(one, 'data'), once(two, 'data')]);
    // The reset may be faster than connect() itself.
    const attempt = async (): Promise<string> => {
      try {
        const socket = await client(small);
        socket.write('Ey');
        const [echo] = await once(socket, 'data');
        socket.destroy();
        return String(echo);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? '';
      }
    };
    assert.equal(await attempt(), 'ECONNRESET');
    one.destroy();
    const echoes = async (): Promise<boolean> => (await attempt()) === 'y';
    await until(small, echoes);
    two.destroy();
  } finally {
    await small.stop();
  }
});

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) text += String(chunk);
  return text;
}
