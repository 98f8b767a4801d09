// Clients of a tunnel to an echo: for the ssm tests of this folder that need no database.
// Neighbours: ssm-tunnel.ts (the tunnel), ssm-clients.ts (the same with PostgreSQL).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { echo, serve } from '../driver-suite/destinations.ts';
import { SsmTunnel, type TunnelOptions } from './ssm-tunnel.ts';

export interface EchoWorld extends AsyncDisposable {
  readonly tunnel: SsmTunnel;
}

/** A tunnel to an echo on the node. */
export async function openToEcho(options: Partial<TunnelOptions> = {}): Promise<EchoWorld> {
  const service = await serve(echo);
  const tunnel = await SsmTunnel.open({ forwards: [{ port: service.port }], ...options });
  return {
    tunnel,
    [Symbol.asyncDispose]: async () => {
      await tunnel[Symbol.asyncDispose]();
      await service.stop();
    },
  };
}

export async function client(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Sends a word and waits for it to come back. @throws if it does not within `limitMs`, or the connection ends. */
export async function hears(socket: Socket, limitMs = 5_000): Promise<void> {
  assert.equal(socket.destroyed, false, 'the connection has ended');
  const word = `${Math.random()}`;
  const gone = new AbortController();
  const end = (): void => gone.abort(new Error('the connection ended'));
  socket.once('close', end);
  try {
    const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(limitMs)]);
    const answer = once(socket, 'data', { signal });
    socket.write(word);
    const [bytes] = (await answer) as [Buffer];
    assert.equal(String(bytes), word);
  } finally {
    socket.off('close', end);
  }
}

/** Sends one word on a new connection. */
export async function answers(port: number, limitMs?: number): Promise<void> {
  const socket = await client(port);
  try {
    await hears(socket, limitMs);
  } finally {
    socket.destroy();
  }
}

/** Short connections without a pause, for the given time; returns how many, and the slowest. @throws at the first that fails. */
export async function connectionsFor(
  port: number,
  ms: number,
): Promise<{ readonly count: number; readonly slowestMs: number }> {
  const over = performance.now() + ms;
  let count = 0;
  let slowestMs = 0;
  while (performance.now() < over) {
    const from = performance.now();
    await answers(port);
    slowestMs = Math.max(slowestMs, performance.now() - from);
    count += 1;
    await delay(20);
  }
  return { count, slowestMs };
}
