// The engine waits in place of Node's event loop: whatever else the loop waits for must be noticed as before, and when it is due.
// Neighbours: engine-world.ts, flooding-client.ts; addon.test.ts has the engine's own promises.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { withWaited } from '../../../src/process/loop-utilization.ts';
import { engineForTests } from '../../support/data-path.ts';
import { channelOf, close, confirmation, data, eof } from '../../support/gcm-peer.ts';
import { closedByNow, type EngineWorld, engineWorld, packetOf } from './engine-world.ts';
import type { Flood } from './flooding-client.ts';

const worlds: EngineWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function world(): Promise<EngineWorld> {
  const made = await engineWorld({});
  worlds.push(made);
  return made;
}

/** A client of the engine gets so many bytes, one message at a time. */
async function carries(it: EngineWorld, bytes: number): Promise<void> {
  const client = it.connect();
  let opening = await it.peer.next();
  // What is left of the client before it.
  while (opening[0] !== 90) opening = await it.peer.next();
  const channel = channelOf(opening);
  it.peer.send(confirmation(channel, 7));
  for (let i = 0; i < bytes; i++) {
    it.peer.send(data(channel, Buffer.from('b')));
    await once(client, 'data');
  }
  client.destroy();
}

/** In time, and not when something else wakes the loop. */
async function soon(happens: Promise<unknown>): Promise<void> {
  let isLate = false;
  const alarm = setTimeout(() => {
    isLate = true;
  }, 5_000);
  await happens;
  clearTimeout(alarm);
  assert.equal(isLate, false);
}

/** The next payload that comes from the far side makes the engine call this. */
function calledBack(it: EngineWorld, run: () => void): void {
  it.onPayload = () => {
    it.onPayload = undefined;
    run();
  };
  it.peer.send(Buffer.from([80, 1]));
}

describe('an engine in the event loop', {
  skip: process.platform !== 'linux' && 'it is for Linux',
  timeout: 60_000,
}, () => {
  test('notices a socket that a call back of its own begins', async () => {
    const it = await world();
    const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const said = new Promise<string>((resolve) => {
      it.onPayload = () => {
        const { port } = server.address() as AddressInfo;
        connect(port, '127.0.0.1').on('data', (bytes) => resolve(String(bytes)));
      };
    });
    it.peer.send(Buffer.from([80, 1]));
    assert.equal(await said, 'hello');
    server.close();
  });

  test('leaves timers, files, processes, signals and other threads to Node', async () => {
    await world();
    const began = performance.now();
    await sleep(150);
    assert.ok(performance.now() - began >= 149);
    assert.ok((await readFile(import.meta.filename)).length > 0);
    const child = spawn('cat');
    const childEnds = once(child, 'exit');
    child.stdin.end('to a child');
    assert.equal(String((await once(child.stdout, 'data'))[0]), 'to a child');
    assert.deepEqual(await childEnds, [0, null]);
    const signal = once(process, 'SIGWINCH');
    process.kill(process.pid, 'SIGWINCH');
    await signal;
    const worker = new Worker(`require('node:worker_threads').parentPort.postMessage('from a thread')`, { eval: true });
    // Node may emit both in one go: who listens to the second only after the first misses it.
    const threadEnds = once(worker, 'exit');
    assert.deepEqual(await once(worker, 'message'), ['from a thread']);
    await threadEnds;
  });

  test('calls timers while a client leaves it no pause', async () => {
    const it = await world();
    const [chunks, stop] = [new Int32Array(new SharedArrayBuffer(4)), new Int32Array(new SharedArrayBuffer(4))];
    const flooding = new Worker(new URL('flooding-client.ts', import.meta.url), {
      workerData: { port: it.listener.port, chunks, stop } satisfies Flood,
    });
    const ends = once(flooding, 'exit');
    const channel = channelOf(await it.peer.next());
    it.peer.send(confirmation(channel, 7), eof(channel), close(channel));
    // What the client sends now the engine drops: nothing of it reaches Node's loop, and nothing else is left to wake that.
    let [called, seen] = [0, 0];
    const { promise: oftenCalled, resolve } = Promise.withResolvers<void>();
    const timer = setInterval(() => {
      const count = Atomics.load(chunks, 0);
      if (count > seen && ++called === 20) resolve();
      seen = count;
    }, 5);
    await Promise.race([oftenCalled, ends]);
    clearInterval(timer);
    Atomics.store(stop, 0, 1);
    assert.deepEqual(await ends, [0], 'the flood ended before the timer was called');
  });

  test('a second one is served beside it, also after the first was closed, and a third after both', async () => {
    const first = await world();
    const second = await world();
    await Promise.all([carries(first, 20), carries(second, 20)]);
    await first.close();
    worlds.shift();
    await carries(second, 20);
    const third = await world();
    await Promise.all([carries(second, 20), carries(third, 20)]);
  });

  test('what another engine is asked for leaves at once, from a callback of the one that waits as from a timer', async () => {
    const asks = (it: EngineWorld) => it.link.seal(packetOf(Buffer.from([80, 7])));
    const first = await world();
    const second = await world();
    await sleep(50);
    calledBack(first, () => asks(second));
    await soon(second.peer.next());
    await first.close();
    worlds.shift();
    const third = await world();
    await sleep(50);
    setTimeout(() => asks(second), 20);
    await soon(second.peer.next());
    calledBack(third, () => asks(second));
    await soon(second.peer.next());
  });

  test('a callback of its own is followed by the immediates that keep nothing alive', async () => {
    const it = await world();
    await sleep(50);
    await soon(new Promise<void>((resolve) => calledBack(it, () => setImmediate(resolve).unref())));
  });

  test('knows how long it had nothing to do, which Node takes for work', async () => {
    const { Engine } = engineForTests();
    const engine = new Engine({ budget: new Float64Array(2), budgetTotal: 64 * 1024 * 1024 });
    const [before, waitedBefore] = [performance.eventLoopUtilization(), engine.waitedMs()];
    while (engine.waitedMs() - waitedBefore < 350) await sleep(50);
    const waited = engine.waitedMs() - waitedBefore;
    const measured = performance.eventLoopUtilization(before);
    engine.close();
    await closedByNow();
    assert.ok(measured.active >= waited, `Node counts ${measured.active} ms as work`);
    const { idle, active, utilization } = withWaited(measured, waited);
    assert.ok(Math.abs(idle + active - measured.idle - measured.active) < 1e-6);
    assert.ok(utilization < measured.utilization && active < measured.active - 300);
  });

  test('an environment may end while a link is open and its far side hangs up', async () => {
    const worker = new Worker(new URL('ending-environment.ts', import.meta.url));
    assert.deepEqual(await once(worker, 'exit'), [0]);
  });

  test('a closed one keeps no process alive', async () => {
    const worker = new Worker(new URL('ending-environment.ts', import.meta.url), { workerData: 'closes' });
    assert.deepEqual(await once(worker, 'exit'), [0]);
  });
});
