// AWS's own client judges the service that the driver is tested against: what it cannot use would prove nothing about the driver.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
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
  await service.set({ Pace: true, Hosts: {} });
  assert.equal((await service.seen()).complaints, null, 'AWS’s own client is told to break the protocol');
});

async function serving(handle: Parameters<typeof serve>[0]): Promise<Service> {
  const one = await serve(handle);
  endings.push(() => one.stop());
  return one;
}

async function plugin(port: number, host?: string): Promise<Plugin> {
  const one = await Plugin.start(service, { instance, port, ...(host === undefined ? {} : { host }) });
  endings.push(() => one.stop());
  return one;
}

async function client({ port }: Plugin): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  endings.push(async () => socket.destroy());
  return socket;
}

/** Bytes without a line feed: the plugin rewrites a message that is nothing but one (a leftover of its shell). */
function bytesWithoutLineFeed(length: number): Buffer {
  const bytes = randomBytes(length);
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at)) bytes[at] = 11;
  return bytes;
}

/** Sends all and takes as much back. */
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

test('the plugin forwards to a port of the instance and to another host', async () => {
  const { port } = await serving(echo);
  await service.set({ Hosts: { 'db.internal': '127.0.0.1' } });
  for (const host of [undefined, 'db.internal']) {
    const socket = await client(await plugin(port, host));
    assert.equal((await echoed(socket, Buffer.from('hello'))).toString(), 'hello');
  }
});

test('the plugin carries a hundred connections and bulk both ways', async () => {
  await service.set({ Pace: false });
  const { port } = await serving(echo);
  const one = await plugin(port);
  await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const socket = await client(one);
      assert.equal((await echoed(socket, Buffer.from(`client ${index}`))).toString(), `client ${index}`);
    }),
  );
  const bytes = bytesWithoutLineFeed(1024 * 1024);
  assert.equal(sha256(await echoed(await client(one), bytes)), sha256(bytes));
});

test('the plugin gets a download and its end', async () => {
  const content = randomBytes(256 * 1024);
  const { port } = await serving(download(content));
  assert.equal(sha256(await buffer(await client(await plugin(port)))), sha256(content));
});

test('the plugin ends a connection that the agent could not make', async () => {
  const socket = await client(await plugin(await closedPort()));
  socket.resume();
  await once(socket, 'close');
});

test('the plugin resumes after its socket was cut', async () => {
  const { port } = await serving(echo);
  const socket = await client(await plugin(port));
  await echoed(socket, Buffer.from('before'));
  await service.order('cut');
  await delay(1_000);
  assert.equal((await echoed(socket, Buffer.from('after'))).toString(), 'after');
  assert.ok(((await service.seen()).calls['ResumeSession'] ?? 0) >= 1);
});
