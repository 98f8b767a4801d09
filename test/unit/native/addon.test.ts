// The engine as JavaScript has it: real sockets, AES-GCM against Node's own, and the promises of native-engine.ts about calls back.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { linkCells, listenerCells } from '../../../src/sidecar/base/native-engine.ts';
import { TransmitGate } from '../../../src/sidecar/drivers/ssh/channels/transmit-gate.ts';
import { engineForTests } from '../../support/data-path.ts';
import { channelOf, close, confirmation, data, eof, refusal } from '../../support/gcm-peer.ts';
import { closedByNow, type EngineWorld, engineWorld, keyOf, packetOf } from './engine-world.ts';

const worlds: EngineWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function world(options: Parameters<typeof engineWorld>[0] = {}): Promise<EngineWorld> {
  const made = await engineWorld(options);
  worlds.push(made);
  return made;
}

/** A client that the engine carries, and its channel. */
async function carried(from: EngineWorld): Promise<{ readonly client: Socket; readonly channel: number }> {
  const client = from.connect();
  const channel = channelOf(await from.peer.next());
  from.peer.send(confirmation(channel, 7));
  return { client, channel };
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

async function bytesOf(client: Socket, count: number): Promise<string> {
  let text = '';
  while (text.length < count) text += String((await once(client, 'data'))[0]);
  return text;
}

describe('the addon', { skip: process.platform !== 'linux' && 'it is for Linux', timeout: 60_000 }, () => {
  for (const bits of [128, 256] as const) {
    test(`speaks AES-${bits}-GCM as Node does, in both directions`, async () => {
      const it = await world({ bits });
      const { client, channel } = await carried(it);
      client.write('to the destination');
      assert.equal((await it.peer.next()).subarray(9).toString(), 'to the destination');
      it.peer.send(data(channel, 'to the client'));
      assert.equal(await bytesOf(client, 13), 'to the client');
      const large = randomBytes(100_000);
      it.peer.send(data(channel, large));
      assert.ok(Buffer.from(await bytesOf(client.setEncoding('latin1'), large.length), 'latin1').equals(large));
      client.end();
      assert.equal((await it.peer.next())[0], 93);
      assert.equal((await it.peer.next())[0], 96);
      it.peer.send(eof(channel), close(channel));
      await once(client, 'close');
      assert.equal((await it.peer.next())[0], 97);
      assert.equal(it.cells[listenerCells.endedClean], 1);
      assert.equal(it.cells[listenerCells.toDestination], 18);
      assert.equal(it.cells[listenerCells.toClient], 13 + large.length);
      assert.equal(it.cells[listenerCells.open], 0);
      assert.deepEqual(it.told.slice(0, 2), ['busy true', 'answered']);
      assert.deepEqual(it.told.slice(2).toSorted(), ['busy false', 'idle']);
    });
  }

  test('takes bytes first that were read before, also half a packet, and gives up what is not of its channels', async () => {
    const it = await world({ early: { payload: Buffer.from([2, 1]), bytes: 20 } });
    it.peer.send(Buffer.from([80, 5]));
    assert.deepEqual(await it.payload(), Buffer.from([2, 1]));
    assert.deepEqual(await it.payload(), Buffer.from([80, 5]));
  });

  test('never calls back from inside a call', async () => {
    const it = await world();
    const { client } = await carried(it);
    while (!it.told.includes('answered')) await turn();
    const before = it.told.length;
    it.link.close();
    it.listener.resetAll();
    assert.equal(it.told.length, before);
    const [error] = await once(client, 'error');
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
    while (!it.told.includes('idle')) await turn();
  });

  test('seals what ssh2 sends, and changes keys in both directions', async () => {
    const it = await world();
    const { client, channel } = await carried(it);
    it.link.seal(packetOf(Buffer.from([20, 1, 2, 3])));
    assert.equal(it.linkCells[linkCells.exchangingKeys], 1);
    assert.deepEqual(await it.peer.next(), Buffer.from([20, 1, 2, 3]));
    client.write('waits');
    it.peer.send(data(channel, 'passes'));
    assert.equal(await bytesOf(client, 6), 'passes');
    it.link.seal(packetOf(Buffer.from([21])));
    assert.deepEqual(await it.peer.next(), Buffer.from([21]));
    const [ours, theirs] = [keyOf(16), keyOf(32)];
    it.onPayload = (payload) => {
      if (payload[0] === 21) it.link.setReceiveKey(theirs.key, theirs.iv);
    };
    // Both packets in one read: the second needs the key that the first one's call back has set.
    const newKeys = it.peer.seal(Buffer.from([21]));
    it.peer.setSendKey(theirs);
    it.socket.write(Buffer.concat([newKeys, it.peer.seal(data(channel, 'new keys'))]));
    assert.equal(await bytesOf(client, 8), 'new keys');
    it.peer.setReceiveKey(ours);
    it.link.setSendKey(ours.key, ours.iv);
    assert.equal(it.linkCells[linkCells.exchangingKeys], 0);
    assert.equal((await it.peer.next()).subarray(9).toString(), 'waits');
  });

  test('gives back a client whose dial was refused, with nothing read of it and the first failure', async () => {
    const it = await world();
    const client = it.connect();
    client.write('hello');
    const channel = channelOf(await it.peer.next());
    it.peer.send(refusal(channel, 2, 'Connection refused'));
    const { fd, why } = await it.back();
    assert.deepEqual(
      { cause: why?.cause, reason: why?.reason, text: why?.text, link: why?.link === it.link },
      { cause: 'refused', reason: 2, text: 'Connection refused', link: true },
    );
    const handed = new Socket({ fd, allowHalfOpen: true });
    assert.equal(await bytesOf(handed, 5), 'hello');
    handed.end('bye');
    assert.equal(await bytesOf(client, 3), 'bye');
    client.destroy();
    assert.equal(it.cells[listenerCells.open], 0);
  });

  test('reports why a link is lost, before the clients that it gives back', async () => {
    const it = await world();
    const { client } = await carried(it);
    it.connect();
    await it.peer.next();
    const packet = it.peer.seal(Buffer.from([80]));
    packet[8] = (packet[8] ?? 0) ^ 1;
    it.socket.write(packet);
    const [error] = await once(client, 'error');
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
    const { fd, why } = await it.back();
    assert.equal(why?.cause, 'lost');
    assert.ok(it.told.indexOf('lost packet 0') < it.told.indexOf('back'), it.told.join());
    new Socket({ fd }).destroy();
  });

  test('a single message wakes it at once after a transfer that filled the link', async () => {
    const it = await world();
    const { client, channel } = await carried(it);
    let received = 0;
    client.on('data', (bytes) => (received += bytes.length));
    let granted = 128 * 1024;
    const block = Buffer.alloc(30_000);
    for (let sent = 0; sent < 12_000_000; sent += block.length) {
      while (granted < block.length) granted += (await it.peer.next()).readUInt32BE(5);
      granted -= block.length;
      it.peer.send(data(channel, block));
    }
    while (received < 12_000_000) await turn();
    // Long enough that it has noticed the silence.
    await sleep(50);
    it.peer.send(Buffer.from([80, 1]));
    assert.deepEqual(await it.payload(), Buffer.from([80, 1]));
  });

  test('a client that fills the link leaves streams of JavaScript their turn', async () => {
    const it = await world();
    const unsent = (): number => it.linkCells[linkCells.unsent] ?? 0;
    const socket = new EventEmitter();
    Object.defineProperty(socket, 'writableLength', { get: unsent });
    const gate = new TransmitGate(socket as Duplex, () => false, true);
    const client = it.connect();
    it.peer.send(confirmation(channelOf(await it.peer.next()), 7, 2 ** 31));
    it.socket.pause();
    client.write(Buffer.alloc(64 * 1024 * 1024));
    while (unsent() < 256 * 1024) await turn();
    // As much as streams may send.
    while (gate.open) it.link.seal(packetOf(Buffer.alloc(30_000)));
    let [isItsTurn, drains] = [false, 0];
    gate.wait(() => (isItsTurn = true));
    it.onDrain = () => {
      drains += 1;
      socket.emit('drain');
    };
    it.socket.on('data', () => it.socket.pause());
    // The bastion reads more slowly than the client sends.
    while (!isItsTurn && drains < 3) {
      it.socket.resume();
      await sleep(1);
    }
    assert(isItsTurn, `it waits after the queue was short ${drains} times`);
    client.destroy();
  });

  test('leaves no descriptor when it is closed, and does not wait for its memory to be collected', async () => {
    const { Engine } = engineForTests();
    const before = descriptors();
    for (let count = 0; count < 5; count++) new Engine({ budget: new Float64Array(2), budgetTotal: 1_024 }).close();
    await closedByNow();
    assert.equal(descriptors(), before);
  });

  test('gives back a thousand clients, none twice, and no descriptor is left', async () => {
    const it = await world();
    it.listener.setLinks([]);
    const before = descriptors();
    const handed = new Map<number, Socket>();
    const count = 1_000;
    let ended = 0;
    it.onClient = (fd) => {
      // A number is free for the next client as soon as its socket is destroyed, which is before Node says so.
      assert.notEqual(handed.get(fd)?.destroyed, false, 'it is given back twice');
      const socket = new Socket({ fd, allowHalfOpen: true });
      handed.set(fd, socket);
      socket.on('data', (bytes) => socket.end(bytes));
      socket.on('close', () => (ended += 1));
    };
    for (let batch = 0; batch < count; batch += 50) {
      const clients = Array.from({ length: 50 }, () => it.connect());
      await Promise.all(
        clients.map(async (client, at) => {
          const text = `client ${String(at).padStart(2)}`;
          client.end(text);
          assert.equal(await bytesOf(client, text.length), text);
          await once(client, 'close');
        }),
      );
    }
    while (ended < count) await turn();
    assert.equal(descriptors(), before);
  });

  test('resets its clients when the process dies', async () => {
    const child = fork(new URL('dying-process.ts', import.meta.url), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [port] = (await once(child, 'message')) as [number];
    const client = connect({ host: '127.0.0.1', port });
    assert.equal(await bytesOf(client, 6), 'half a');
    child.kill('SIGKILL');
    const [error] = await once(client, 'error');
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET');
  });

  test('says what is wrong with an argument, and which address is taken', async () => {
    const it = await world();
    const { listener } = it;
    assert.throws(() => it.listen(listener.port), { code: 'EADDRINUSE' });
    assert.throws(() => it.listen(0, 'db.example.com'), { code: 'EINVAL' });
    assert.throws(() => it.link.seal(Buffer.alloc(10)), TypeError);
  });
});
