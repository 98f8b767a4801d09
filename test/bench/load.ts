// The clients of the benchmark, a process of its own that takes one order after the other from its parent and answers with figures.
// Neighbours: load-generator.ts gives the orders, destination.ts is at the other end of every tunnel.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { digestOf, header, slice } from './content.ts';
import type { Answer, Order } from './load-generator.ts';

const held: Socket[] = [];
const digests = new Map<number, Buffer>();

function expected(bytes: number): Buffer {
  const known = digests.get(bytes) ?? digestOf(bytes);
  digests.set(bytes, known);
  return known;
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Seconds from the first request until every stream's digest was right. */
async function transfer(port: number, upload: boolean, streams: number, bytes: number): Promise<number> {
  const digest = expected(bytes);
  const sockets = await Promise.all(Array.from({ length: streams }, async () => await open(port)));
  const started = performance.now();
  await Promise.all(
    sockets.map(async (socket) => {
      const got = await (upload ? sendAll(socket, bytes) : receiveAll(socket, bytes));
      if (!got.equals(digest)) throw new Error('the bytes that arrived are not those that were sent');
    }),
  );
  return (performance.now() - started) / 1000;
}

async function receiveAll(socket: Socket, bytes: number): Promise<Buffer> {
  const hash = createHash('sha256');
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    received += chunk.length;
    if (received >= bytes) resolve();
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error(`closed after ${received} of ${bytes} bytes`)));
  socket.write(header('D', bytes));
  await promise;
  socket.end();
  return hash.digest();
}

async function sendAll(socket: Socket, bytes: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let answer = Buffer.alloc(0);
  let offset = 0;
  const more = (): void => {
    while (offset < bytes) {
      const chunk = slice(offset, bytes);
      offset += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on('data', (chunk: Buffer) => {
    answer = Buffer.concat([answer, chunk]);
    if (answer.length >= 32) resolve();
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error(`closed after ${offset} of ${bytes} bytes`)));
  socket.on('drain', more);
  socket.write(header('U', bytes));
  more();
  await promise;
  socket.end();
  return answer;
}

/** The median of `count` one-byte echoes, in milliseconds. */
async function pings(port: number, count: number): Promise<number> {
  const socket = await open(port);
  await echo(socket, header('E'));
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const started = performance.now();
    await echo(socket);
    times.push(performance.now() - started);
  }
  socket.destroy();
  return times.sort((a, b) => a - b)[Math.floor(count / 2)] ?? Number.NaN;
}

async function echo(socket: Socket, before: Buffer = Buffer.alloc(0)): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('data', () => resolve());
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('closed before it echoed')));
  socket.write(Buffer.concat([before, Buffer.of(1)]));
  await promise;
  socket.removeAllListeners('close').removeAllListeners('error').removeAllListeners('data');
  socket.on('error', () => undefined);
}

/** Seconds for `count` connections, each opened, used for one echo and closed, `parallel` at a time. */
async function connections(port: number, count: number, parallel: number): Promise<number> {
  let left = count;
  const closed: Promise<unknown>[] = [];
  const started = performance.now();
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const socket = await open(port);
      await echo(socket, header('E'));
      closed.push(new Promise((resolve) => void socket.once('close', resolve)));
      socket.resume().end();
    }
  };
  await Promise.all(Array.from({ length: parallel }, client));
  const seconds = (performance.now() - started) / 1000;
  await Promise.all(closed);
  return seconds;
}

/** Opens connections; each echoes once and stays open until `release`. */
async function hold(port: number, count: number): Promise<number> {
  const parallel = 8;
  const client = async (share: number): Promise<void> => {
    for (let index = 0; index < share; index += 1) {
      const socket = await open(port);
      held.push(socket);
      await echo(socket, header('E'));
    }
  };
  await Promise.all(Array.from({ length: parallel }, async () => await client(count / parallel)));
  return held.length;
}

/** Opens connections that ask for an endless download and read nothing of it, until `release`. */
async function stall(port: number, count: number): Promise<number> {
  for (let index = 0; index < count; index += 1) {
    const socket = await open(port);
    socket.on('error', () => undefined);
    held.push(socket);
    socket.pause().write(header('D', Number.MAX_SAFE_INTEGER));
  }
  return held.length;
}

function release(): number {
  const count = held.length;
  for (const socket of held.splice(0)) socket.destroy();
  return count;
}

async function obey(order: Order): Promise<number> {
  switch (order.what) {
    case 'transfer':
      return await transfer(order.port, order.upload, order.streams, order.bytes);
    case 'pings':
      return await pings(order.port, order.count);
    case 'connections':
      return await connections(order.port, order.count, order.parallel);
    case 'hold':
      return await hold(order.port, order.count);
    case 'stall':
      return await stall(order.port, order.count);
    case 'release':
      return release();
  }
}

process.on('message', (order: Order) => {
  const answer = (value: Answer): void => void process.send?.(value);
  obey(order).then(
    (figure) => answer({ figure }),
    (error: unknown) => answer({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
