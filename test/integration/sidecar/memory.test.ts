// Memory is bounded (docs/promises.md, promise 10) and within the budgets of docs/benchmarks.md: a sidecar in a process of its own, a
// thousand clients, and a real sshd.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { askTunnel } from '../../../src/cli/ask-tunnel.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { isNative } from '../../support/data-path.ts';
import { assertResident } from '../../support/resident-memory.ts';
import { type Pod, startPod } from './pod.ts';
import { startBastion, tunnelConfig } from './sidecar-world.ts';

const clients = 1_000;
/** The process runs from TypeScript here and is larger than the bundle by its compiler; the budgets are judged by what is added to it. */
const bundledMiB = 80;
/** The pod's memory limit, and the budget of its resident memory with a thousand clients that do not read. */
const limitMiB = 256;

/** The first byte of a connection: `E` echo, `F` a flood that never ends. */
let destination: Server;
const far = new Set<Socket>();
let pod: Pod;
let port: number;
/** MiB of the process that is ready and has carried nothing yet. */
let base: number;
/** What the native engine keeps for a session, at least: 0 in JavaScript. */
let bytesOfSession: number;
const folder = mkdtempSync(join(tmpdir(), 'portforward-memory-'));
const doctorSocket = join(folder, 'doctor.sock');

/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  started.defer(() => rmSync(folder, { recursive: true }));
  const chunk = Buffer.alloc(65_536, 1);
  destination = createServer((socket) => {
    far.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => far.delete(socket));
    socket.once('data', (first: Buffer) => {
      if (first[0] === 'E'.charCodeAt(0)) {
        socket.write(first.subarray(1));
        socket.pipe(socket);
        return;
      }
      const flood = (): void => {
        while (socket.write(chunk)) {
          if (socket.destroyed) return;
        }
      };
      socket.on('drain', flood);
      flood();
    });
  });
  started.defer(() => {
    for (const socket of far) socket.destroy();
    destination.close();
  });
  // On a busy machine it floods more than it accepts, and a dial whose SYN was dropped for want of a place may be given up.
  destination.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  await once(destination, 'listening');
  // One file for each channel at sshd, beside its own.
  const bastion = started.adopt(await startBastion({ openFiles: 4_096 }), async (it) => await it.stop());
  const config = tunnelConfig([bastion.hop], {
    forwards: [{ port: (destination.address() as AddressInfo).port }],
    connection: { maxConnections: 2_000, drainTimeoutSeconds: 0 },
  });
  process.env['PF_TEST_DOCTOR_SOCKET'] = doctorSocket;
  pod = started.adopt(await startPod(config), async (it) => await it.child.stop());
  [port = 0] = pod.ports;
  await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);
  base = pod.memory();
  await pod.child.until(async () => (await pod.metric('portforward_tunnel_sessions{part="live"}')) === 2, 30_000);
  bytesOfSession = (await buffered()) / 2;
});

async function open(first: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(first);
  return socket;
}

/** Opens that many, fifty at a time, each only once the one before is carried. */
async function openMany(count: number, first: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i += 50) {
    const batch = await Promise.all(Array.from({ length: Math.min(50, count - i) }, async () => await open(first)));
    await Promise.all(batch.map(async (socket) => await once(socket, 'data')));
    sockets.push(...batch);
  }
  return sockets;
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await pod.child.until(async () => (await pod.metric('portforward_tunnel_open_connections')) === 0, 60_000);
}

const buffered = async (): Promise<number> => await pod.metric('portforward_tunnel_buffered_bytes');

async function echoes(): Promise<number> {
  const started = performance.now();
  const socket = await open('Ex');
  await once(socket, 'data');
  socket.destroy();
  return performance.now() - started;
}

/** Milliseconds of echoes on an open connection, the shortest first. */
async function roundTrips(socket: Socket, count: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    socket.write('x');
    await once(socket, 'data');
    times.push(performance.now() - started);
  }
  return times.toSorted((a, b) => a - b);
}

test('a thousand open connections stay within the budget of memory', async (t) => {
  const sockets = await openMany(clients, 'Ex');
  const after = pod.memory();
  t.diagnostic(`${base} MiB before, ${after} MiB with ${clients} connections; the budget is 160 MiB`);
  assertResident(t, after - base <= 160 - bundledMiB, `${after - base} MiB more`);
  await closeAll(sockets);
});

/** `doctor` walks while they all stall: every step succeeds, and none of them is lost. */
async function walkBeside(sockets: readonly Socket[], t: TestContext): Promise<void> {
  const before = pod.memory();
  const complain = (line: string): void => t.diagnostic(line);
  const lines: string[] = [];
  const exit = await askTunnel({ path: doctorSocket, output: 'text', print: (line) => lines.push(line), complain });
  t.diagnostic(`doctor beside them: ${before} MiB resident before, ${pod.memory()} after`);
  assert.equal(exit, 0, lines.join('\n'));
  assertEvery(sockets, (socket) => !socket.destroyed, 'a stalled client is still connected');
  assert.ok((await pod.metric('portforward_tunnel_streams')) >= clients);
}

test('a thousand clients that stop reading do not kill the pod and do not stop the others', async (t) => {
  // Before them: the two sessions carry 500 each, so that the thousandth of them has to wait for the login of a third.
  const other = await open('Ex');
  await once(other, 'data');
  const sockets: Socket[] = [];
  for (let i = 0; i < clients; i += 50) {
    const batch = await Promise.all(Array.from({ length: 50 }, async () => await open('F')));
    for (const socket of batch) socket.pause();
    sockets.push(...batch);
  }
  await pod.child.until(async () => (await pod.metric('portforward_tunnel_streams')) >= clients, 60_000);
  const samples: number[] = [];
  // The windows fill for up to 25 s, in steps; then it stays as it is.
  for (let i = 0; i < 60; i++) {
    await delay(500);
    samples.push(pod.memory() - base);
  }
  samples.sort((a, b) => a - b);
  const [median = 0, most = 0] = [samples[samples.length / 2], samples.at(-1)];
  const verdict = bundledMiB + most <= limitMiB ? 'within' : 'OVER';
  const trips = await roundTrips(other, 50);
  const [middle = 0, longest = 0] = [trips[trips.length / 2], trips.at(-1)];
  other.destroy();
  const took = await echoes();
  const counted = Math.round((await buffered()) / 1024 / 1024);
  t.diagnostic(
    `from ${base} by ${median} MiB resident, at most ${most}, ${counted} MiB counted; bundled ${bundledMiB + most} MiB, ${verdict} the budget of ${limitMiB} MiB`,
  );
  t.diagnostic(
    `another client's round trip meanwhile: ${middle.toFixed(2)} ms, the longest of ${trips.length} ${longest.toFixed(2)} ms; the budget is ${isNative ? 5 : 100} ms`,
  );
  // A single sample may show garbage that had no turn yet, up to 60 MiB of it; most do not.
  assertResident(t, median <= limitMiB - bundledMiB, `${median} MiB more`);
  assertResident(t, most <= limitMiB, `at most ${most} MiB more`);
  // What windows may grow into, and the least that keeps each of a thousand streams moving: 16 KiB of window, 32 KiB on their way to the client.
  assert(counted <= 48 + 48, `${counted} MiB are counted`);
  assert(took < 20_000, `${Math.round(took)} ms`);
  assert(longest < 20_000, `${Math.round(longest)} ms`);
  await walkBeside(sockets, t);
  await closeAll(sockets);
  // More sessions than the two may be there for a while.
  await pod.child.until(async () => {
    const sessions = await pod.metric('portforward_tunnel_native_sessions');
    return (await buffered()) < bytesOfSession * sessions + 1024 * 1024;
  }, 30_000);
});
