// The admin port under attack: whoever holds connections to it, and however many, probes are answered.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { silentLog } from '../../../src/process/log.ts';
import { check, startProbeServer } from '../../../src/process/probe-server.ts';

/** The kubelet: a connection of its own for each probe. */
async function probe(port: number, localAddress: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const request = get(
      { host: '127.0.0.1', port, path: '/livez', localAddress, agent: false, headers: { connection: 'close' } },
      (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode));
      },
    );
    request.once('error', reject);
  });
}

/** Connections that ask once and stay, and come back when they are closed. */
class Attack implements Disposable {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #ended = false;
  /** Closed by the server. */
  closed = 0;

  constructor(port: number, addresses: readonly string[], count: number) {
    this.#port = port;
    for (let index = 0; index < count; index++) this.#open(addresses[index % addresses.length] ?? '');
  }

  #open(localAddress: string): void {
    const socket = connect({ host: '127.0.0.1', port: this.#port, localAddress });
    this.#sockets.add(socket);
    socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.on('error', () => undefined);
    socket.resume();
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.closed += 1;
      if (!this.#ended) setTimeout(() => this.#ended || this.#open(localAddress), 250);
    });
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

const two = (from: number) => Array.from({ length: 200 }, (_, index) => `127.0.${from}.${index + 1}`);

for (const [what, addresses, from] of [
  ['one address', ['127.0.0.2'], '127.0.0.1'],
  ['200 addresses', two(3), '127.0.0.1'],
  ['the address of the probes', ['127.0.0.1'], '127.0.0.1'],
] as const) {
  test(`1,000 connections of ${what} that come back at once keep no probe from its answer`, async () => {
    const stop = new AbortController();
    const server = await startProbeServer({
      host: '127.0.0.1',
      port: 0,
      signal: stop.signal,
      log: silentLog(),
      routes: { '/livez': check(() => undefined) },
    });
    {
      using attack = new Attack(server.port, addresses, 1_000);
      let answered = 0;
      let failedInARow = 0;
      // Until the attack has been thrown out once over.
      while (attack.closed < 1_000 || answered < 10) {
        const status = await probe(server.port, from).catch(() => undefined);
        failedInARow = status === 200 ? 0 : failedInARow + 1;
        if (status === 200) answered += 1;
        // Each probe of ours has a failureThreshold of three at least.
        assert.ok(failedInARow < 3, `${failedInARow} probes in a row failed after ${answered} good ones`);
      }
    }
    stop.abort();
    await server.closed;
  });
}

test('a connection that waits for nothing is closed after 5 s, and one that never asked, too', async () => {
  const stop = new AbortController();
  const server = await startProbeServer({
    host: '127.0.0.1',
    port: 0,
    signal: stop.signal,
    log: silentLog(),
    routes: { '/livez': check(() => undefined) },
  });
  const asked = connect(server.port, '127.0.0.1');
  const silent = connect(server.port, '127.0.0.1');
  asked.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
  for (const socket of [asked, silent]) {
    socket.on('error', () => undefined);
    socket.resume();
  }
  const started = performance.now();
  await Promise.all([once(asked, 'close'), once(silent, 'close')]);
  assert.ok(performance.now() - started > 3_000, 'a client may use its connection again meanwhile');
  stop.abort();
  await server.closed;
});
