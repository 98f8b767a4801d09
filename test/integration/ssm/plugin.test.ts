// AWS's own client checks the service that the driver is tested against: a service that it cannot use would prove nothing about the driver.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { defined } from '../../../src/contract/defined.ts';
import { closedPort, download, echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { Plugin } from '../../support/ssm/plugin.ts';
import { SessionManager } from '../../support/ssm/session-manager.ts';

const instance = 'i-0123456789abcdef0';
const service = await SessionManager.start();
const endings: (() => Promise<unknown>)[] = [];
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

after(() => service.stop());
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
  await service.set({ Pace: true, Hosts: {}, AgentVersion: '3.3.4108.0' });
  assert.equal((await service.seen()).complaints, null, 'the service complains of AWS’s own client');
});

async function serving(handle: Parameters<typeof serve>[0]): Promise<Service> {
  const one = await serve(handle);
  endings.push(() => one.stop());
  return one;
}

/**
 * Runs `use` with a plugin, and again with a new one if it did not finish in 25 s, up to six times: about once in thirty runs, and once in
 * six on a loaded machine, the plugin's reader dies of its own race (its log: listener run panic, nil pointer) and it receives nothing from
 * then on.
 */
async function withPlugin<T>(
  port: number,
  host: string | undefined,
  use: (one: Plugin, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const one = await Plugin.start(service, { instance, port, ...defined({ host }) });
    endings.push(() => one.stop());
    const over = new AbortController();
    const limit = delay(25_000, 'late' as const, { signal: over.signal }).catch(() => 'late' as const);
    const outcome = await Promise.race([use(one, over.signal).then((value) => ({ value })), limit]);
    over.abort();
    if (outcome !== 'late') return outcome.value;
    assert.ok(attempt < 6, 'six plugins in a row did not come to the end of it');
    // The service's switches are for all sessions: neither the broken plugin nor its user may disturb the next.
    await one.stop();
  }
}

async function client({ port }: Plugin): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  endings.push(async () => socket.destroy());
  return socket;
}

/** Bytes without a line feed: the plugin rewrites a message that is only a line feed (a remnant of its shell). */
function bytesWithoutLineFeed(length: number): Buffer {
  const bytes = randomBytes(length);
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at)) bytes[at] = 11;
  return bytes;
}

/** Sends everything and receives as much back. */
async function echoed(socket: Socket, bytes: Buffer): Promise<Buffer> {
  const got: Buffer[] = [];
  let length = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const take = (chunk: Buffer): void => {
    got.push(chunk);
    length += chunk.length;
    if (length >= bytes.length) resolve();
  };
  const ended = (): void => reject(new Error(`ended after ${length} of ${bytes.length} bytes`));
  socket.on('data', take).once('close', ended);
  socket.write(bytes);
  await promise;
  socket.off('data', take).off('close', ended);
  return Buffer.concat(got);
}

test('the plugin forwards by both documents, a hundred connections and bulk both ways', async () => {
  await service.set({ Pace: false, Hosts: { 'db.internal': '127.0.0.1' } });
  const { port } = await serving(echo);
  const bytes = bytesWithoutLineFeed(1024 * 1024);
  for (const host of [undefined, 'db.internal']) {
    const answer = await withPlugin(port, host, async (one) => {
      for (let wave = 0; wave < 10; wave += 1) {
        const answers = await Promise.all(
          Array.from({ length: 10 }, async (_, index) => echoed(await client(one), Buffer.from(`client ${index}`))),
        );
        assert.deepEqual(
          answers.map(String),
          [...answers.keys()].map((index) => `client ${index}`),
        );
      }
      return echoed(await client(one), bytes);
    });
    assert.equal(sha256(answer), sha256(bytes), host ?? 'the instance');
  }
});

test('the plugin forwards through an old agent, which carries one connection at a time', async () => {
  await service.set({ AgentVersion: '3.0.100.0' });
  const { port } = await serving(echo);
  const answer = await withPlugin(port, undefined, async (one) => echoed(await client(one), Buffer.from('alone')));
  assert.equal(answer.toString(), 'alone');
});

test('the plugin gets a download and its end', async () => {
  const content = randomBytes(256 * 1024);
  const { port } = await serving(download(content));
  const got = await withPlugin(port, undefined, async (one) => buffer(await client(one)));
  assert.equal(sha256(got), sha256(content));
});

test('the plugin ends a connection that the agent could not make', async () => {
  const { port, stop } = await closedPort();
  endings.push(stop);
  await withPlugin(port, undefined, async (one) => {
    const socket = await client(one);
    socket.resume();
    await once(socket, 'close');
  });
});

for (const [order, what] of [
  ['cut', 'its socket was cut'],
  ['bye', 'the service closed its socket, as every hour'],
] as const) {
  test(`the plugin resumes after ${what}`, async () => {
    const { port } = await serving(echo);
    const resumes = async (): Promise<number> => (await service.seen()).calls['ResumeSession'] ?? 0;
    const answers = await withPlugin(port, undefined, async (one, signal) => {
      const socket = await client(one);
      const got = [await echoed(socket, Buffer.from('before'))];
      for (let round = 1; round <= 3; round += 1) {
        // The plugin never acknowledges twice: an acknowledgement that is lost with its socket blocks the agent's repetitions for good.
        // So its socket is cut while nothing is in flight. (The driver is tested while everything is.)
        await delay(200);
        const resumed = await resumes();
        signal.throwIfAborted();
        await service.order(order);
        while ((await resumes()) === resumed) await delay(20, undefined, { signal });
        got.push(await echoed(socket, Buffer.from(`after ${round}`)));
      }
      return got;
    });
    assert.deepEqual(answers.map(String), ['before', 'after 1', 'after 2', 'after 3']);
  });
}
