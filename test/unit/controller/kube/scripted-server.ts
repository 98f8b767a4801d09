// An HTTP server that plays an API server word by word: each request waits in line until the test answers it.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { KubeConfig } from '@kubernetes/client-node';
import { type KubeMetrics, kubeMetrics } from '../../../../src/controller/kube/base/metrics.ts';
import { createKubeClient, type Kube, type WritePolicy } from '../../../../src/controller/kube/rest/kube.ts';
import { createTransport, type KubeTransport } from '../../../../src/controller/kube/rest/transport.ts';
import { type Clock, systemClock } from '../../../../src/process/clock.ts';
import { createLog } from '../../../../src/process/log.ts';
import { Registry } from '../../../../src/process/metrics.ts';

/** A request that the test has not answered yet. */
export class Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  readonly response: ServerResponse;

  constructor(request: IncomingMessage, body: string, response: ServerResponse) {
    const url = new URL(request.url ?? '', 'http://x');
    this.method = request.method ?? '';
    this.path = url.pathname;
    this.query = url.searchParams;
    this.headers = request.headers;
    this.body = body === '' ? undefined : JSON.parse(body);
    this.response = response;
  }

  answer(status: number, body: unknown, headers: Record<string, string> = {}): void {
    this.response.writeHead(status, { 'content-type': 'application/json', ...headers });
    this.response.end(JSON.stringify(body));
  }

  /** A Status as the API server sends it. */
  refuse(code: number, reason: string, message = `${reason} it is`, headers: Record<string, string> = {}): void {
    this.answer(code, { apiVersion: 'v1', kind: 'Status', status: 'Failure', code, reason, message }, headers);
  }

  /** The head of a watch; events follow by `send`. */
  startWatch(): this {
    this.response.writeHead(200, { 'content-type': 'application/json' });
    this.response.flushHeaders();
    return this;
  }

  send(...events: readonly unknown[]): this {
    for (const event of events) this.response.write(`${JSON.stringify(event)}\n`);
    return this;
  }

  end(): void {
    this.response.end();
  }

  reset(): void {
    this.response.socket?.resetAndDestroy();
  }

  get gone(): Promise<unknown> {
    return this.response.destroyed ? Promise.resolve() : once(this.response, 'close');
  }
}

export class ScriptedServer implements AsyncDisposable {
  readonly #asked: Asked[] = [];
  readonly #waiting: { readonly give: (asked: Asked) => void; readonly fail: (error: Error) => void }[] = [];
  /** An address of its own, so that no other process takes the port between `stop` and `start`. */
  readonly #host = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
  #server: Server;
  #port = 0;

  constructor() {
    this.#server = this.#create();
  }

  #create(): Server {
    return createServer((request, response) => {
      response.on('error', () => undefined);
      void text(request).then(
        (body) => this.#take(new Asked(request, body, response)),
        () => undefined,
      );
    });
  }

  #take(asked: Asked): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#asked.push(asked);
    else waiting.give(asked);
  }

  async start(): Promise<this> {
    this.#server.listen(this.#port, this.#host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** The next request, in the order of arrival. */
  async next(): Promise<Asked> {
    const asked = this.#asked.shift();
    if (asked !== undefined) return asked;
    // A request that never comes fails the test instead of keeping its server, and with it the process, alive.
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no request within 30 s')), 30_000);
      const give = (taken: Asked): void => {
        clearTimeout(timer);
        resolve(taken);
      };
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      this.#waiting.push({ give, fail });
    });
  }

  /** Requests that nobody looked at. */
  get unasked(): number {
    return this.#asked.length;
  }

  /** Closes every connection and refuses new ones, until `start`. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    this.#server = this.#create();
  }

  get url(): string {
    return `http://${this.#host}:${this.#port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { fail } of this.#waiting.splice(0)) fail(new Error('the server ended'));
    if (this.#server.listening) await this.stop();
  }
}

export interface Client extends AsyncDisposable {
  readonly kube: Kube;
  readonly transport: KubeTransport;
  readonly metrics: KubeMetrics;
  readonly registry: Registry;
  readonly lines: Record<string, unknown>[];
  readonly log: ReturnType<typeof createLog>;
}

export function configOf(server: string, user: object = {}): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 'test', server, skipTLSVerify: true }, { name: 'test', ...user });
  return config;
}

/** A client of a scripted (or any) server. */
export function clientOf(config: KubeConfig, writes: WritePolicy = {}, clock: Clock = systemClock): Client {
  const registry = new Registry();
  const metrics = kubeMetrics(registry);
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'debug',
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const transport = createTransport({ config, userAgent: 'portforward-test', metrics, log, clock });
  return {
    kube: createKubeClient(transport, writes),
    transport,
    metrics,
    registry,
    lines,
    log,
    [Symbol.asyncDispose]: async () => await transport.close(100),
  };
}

/** Time passes by waits alone, which are over at once and remembered. */
export function impatientClock(): Clock & { readonly waits: number[] } {
  const waits: number[] = [];
  return {
    waits,
    now: () => waits.reduce((sum, ms) => sum + ms, 0),
    date: () => new Date(),
    after: (ms, callback) => {
      waits.push(ms);
      const timer = setImmediate(callback);
      return () => clearImmediate(timer);
    },
  };
}

/** Resolves once `ready()` is true, asked each turn. @throws after 30 s. */
export async function until(ready: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!ready()) {
    assert.ok(performance.now() < end, 'never came true');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
