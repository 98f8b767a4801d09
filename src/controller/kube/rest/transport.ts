// HTTP to the API server: connections, credentials, deadlines, retries, metrics. It carries raw JSON and knows no verbs. The client
// library's own transport opens a connection per request, drops unknown fields and never retries.
// Neighbours: kube.ts (the verbs), connections.ts (sockets), credentials.ts, retry.ts.
import type { KubeConfig } from '@kubernetes/client-node';
import { type Dispatcher, request as send } from 'undici';
import { defined } from '../../../contract/defined.ts';
import { abortable, onAbort } from '../../../process/abort.ts';
import { type Clock, sleep, systemClock } from '../../../process/clock.ts';
import { DeadlineExceeded, deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import { ApiError, ApiUnreachable, ResponseTooLarge, type StatusBody } from '../base/api-error.ts';
import type { KubeMetrics } from '../base/metrics.ts';
import type { Outline } from '../base/outline.ts';
import { type ConnectionClass, type Connections, openConnections } from './connections.ts';
import { KubeCredentialSource } from './credentials.ts';
import { JsonSieve } from './json-sieve.ts';
import { type Repeat, retryDelay } from './retry.ts';
import { Warnings } from './warnings.ts';

export interface TransportOptions {
  readonly config: KubeConfig;
  readonly userAgent: string;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  /** For deadlines, the pauses between tries and the silence of watches. Default: the system's. */
  readonly clock?: Clock;
  /** Called once per request that is sent, tries included. For tests and benchmarks that count. */
  readonly onRequest?: (request: { readonly method: string; readonly path: string }) => void;
}

/** Every call ends by its signal or its deadline (milliseconds, all tries together), whichever is first. */
export interface Call {
  readonly signal: AbortSignal;
  readonly deadlineMs?: number;
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** From the API server's root, such as `/api/v1/namespaces/shop/services`. */
  readonly path: string;
  readonly query?: URLSearchParams;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Default: JSON of the whole object. */
  readonly accept?: string;
  readonly connectionClass: ConnectionClass;
  readonly repeat: Repeat;
  readonly signal: AbortSignal;
  /** For all tries together; for a stream, until its head has come. */
  readonly deadlineMs: number;
  /** What is read of the answer. Default: all. */
  readonly outline?: Outline;
  /** The most that is kept of an answer. Default: 256 MiB. */
  readonly maxBytes?: number;
  /** Called before each try; what it throws is the outcome. */
  readonly beforeTry?: () => void;
  /** How long it was held back by a rate limit, for the metric. */
  readonly waitedMs?: number;
}

export interface KubeTransport {
  /** That its deadlines follow, and the silence of watches. */
  readonly clock: Clock;
  /** The response's JSON. Errors: see `Kube`. */
  request(request: ApiRequest): Promise<unknown>;
  /** Resolves with the body once the head says success; it is cut when the signal aborts, and must be read to its end or left by `return`. */
  stream(request: ApiRequest): Promise<AsyncIterable<Uint8Array>>;
  /** Lets open requests end (streams at most `withinMs`) and closes every connection. */
  close(withinMs?: number): Promise<void>;
}

/** More than this of one response is refused: 500 objects of 1.5 MB (etcd's limit) never come in practice. */
const maxBodyBytes = 256 << 20;

const maxErrorBytes = 1 << 20;

/** Trust problems that a rotated CA bundle or certificate solves. */
const trustCodes = /CERT|ISSUER|SELF_SIGNED|VERIFY|ALTNAME/;

/** The connection was never made, so the server cannot have acted. */
const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** A transport to the current cluster of `config`. Nothing is opened before the first request. Throws if there is no cluster. */
export function createTransport(options: TransportOptions): KubeTransport {
  return new HttpTransport(options);
}

class HttpTransport implements KubeTransport {
  readonly clock: Clock;
  readonly #options: TransportOptions;
  readonly #server: URL;
  readonly #credentials: KubeCredentialSource;
  readonly #warnings: Warnings;
  #connections: { readonly fingerprint: string; readonly open: Connections } | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    const cluster = options.config.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig has no current cluster');
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.#server = new URL(cluster.server);
    this.#credentials = new KubeCredentialSource(options.config, this.clock);
    this.#warnings = new Warnings(options.log, options.metrics, this.#server.host);
  }

  async request(request: ApiRequest): Promise<unknown> {
    const clock = this.clock;
    const what = `${request.method} ${request.path}`;
    using limit = deadline(request.deadlineMs, { signal: request.signal, clock, what });
    const started = clock.now();
    if (request.waitedMs !== undefined) {
      const labels = { verb: request.method, host: this.#server.host };
      this.#options.metrics.rateLimiterDuration.observe(labels, request.waitedMs / 1_000);
    }
    for (let attempt = 0; ; attempt++) {
      request.beforeTry?.();
      try {
        const { body } = await this.#send(request, limit.signal);
        return JSON.parse(await readText(request, body)) as unknown;
      } catch (error) {
        const failure = explain(request, error, limit.signal);
        const wait = retryDelay(failure, request.repeat, attempt);
        // To wait past the deadline only delays the news.
        if (wait === undefined || clock.now() - started + wait >= request.deadlineMs) throw failure;
        await sleep(wait, { signal: limit.signal, clock });
      }
    }
  }

  async stream(request: ApiRequest): Promise<AsyncIterable<Uint8Array>> {
    // Undici takes one signal for head and body; the deadline covers the head only.
    const cut = new AbortController();
    const listening = onAbort(request.signal, (reason) => cut.abort(reason));
    try {
      using head = deadline(request.deadlineMs, { clock: this.clock, what: `${request.method} ${request.path}` });
      using _ = onAbort(head.signal, (reason) => cut.abort(reason));
      const { body } = await this.#send(request, cut.signal);
      body.once('close', () => listening[Symbol.dispose]());
      return explainedBody(request, body, cut.signal);
    } catch (error) {
      listening[Symbol.dispose]();
      throw explain(request, error, cut.signal);
    }
  }

  async close(withinMs = 1_000): Promise<void> {
    this.#closed = true;
    const open = this.#connections?.open;
    if (open === undefined) return;
    using limit = deadline(withinMs, { clock: this.clock, what: 'closing the connections' });
    await abortable(open.close(), limit).catch(() => undefined);
    await open.destroy();
  }

  /** One try, answered: a 401 is repeated once with credentials read anew. Anything but success is thrown as ApiError. */
  async #send(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    signal.throwIfAborted();
    const first = await this.#sendOnce(request, signal);
    if (first.statusCode !== 401) return await successOf(request, first);
    await first.body.dump();
    this.#credentials.drop();
    return await successOf(request, await this.#sendOnce(request, signal));
  }

  async #sendOnce(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { method, path, query, body, connectionClass } = request;
    const { contentType = 'application/json', accept = 'application/json' } = request;
    const { metrics, userAgent, onRequest } = this.#options;
    const credentials = await this.#credentials.get();
    const dispatcher = this.#connectionsFor(credentials).byClass[connectionClass];
    const url = new URL(this.#server);
    url.pathname = url.pathname.replace(/\/$/, '') + path;
    if (query !== undefined) url.search = query.toString();
    onRequest?.({ method, path });
    const host = this.#server.host;
    const endTimer = metrics.requestDuration.startTimer({ verb: method, host });
    try {
      const response = await send(url, {
        method,
        dispatcher,
        signal,
        headers: {
          accept,
          'user-agent': userAgent,
          ...credentials.headers,
          ...defined({ 'content-type': body === undefined ? undefined : contentType }),
        },
        ...defined({ body: body === undefined ? undefined : JSON.stringify(body) }),
      });
      metrics.requestsTotal.inc({ code: String(response.statusCode), method, host });
      this.#warnings.note(response.headers['warning']);
      return response;
    } catch (error) {
      metrics.requestsTotal.inc({ code: '<error>', method, host });
      if (trustCodes.test(codeOf(error))) this.#credentials.drop();
      throw error;
    } finally {
      endTimer();
    }
  }

  #connectionsFor({
    fingerprint,
    connect,
  }: {
    fingerprint: string;
    connect: Parameters<typeof openConnections>[0];
  }): Connections {
    if (this.#closed) throw new Error('the transport is closed');
    if (this.#connections?.fingerprint === fingerprint) return this.#connections.open;
    // Watches on the old connections end by their own timeout within minutes; close() lets them.
    void this.#connections?.open.close();
    const open = openConnections(connect);
    this.#connections = { fingerprint, open };
    return open;
  }
}

async function successOf(request: ApiRequest, response: Dispatcher.ResponseData): Promise<Dispatcher.ResponseData> {
  if (response.statusCode >= 200 && response.statusCode < 300) return response;
  const text = await readText({ ...request, outline: true, maxBytes: maxErrorBytes }, response.body);
  const retryAfter = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(retryAfter) && retryAfter >= 0 ? retryAfter * 1_000 : undefined;
  throw new ApiError(describe(request), response.statusCode, statusOf(text), retryAfterMs);
}

/** The Status that the server sent, or what a proxy in between said instead. */
function statusOf(text: string): StatusBody {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) return parsed;
  } catch {
    // Not JSON: a load balancer's page.
  }
  return text === '' ? {} : { message: text.slice(0, 200) };
}

async function readText(request: ApiRequest, body: AsyncIterable<Uint8Array>): Promise<string> {
  const { outline = true, maxBytes = maxBodyBytes } = request;
  if (outline !== true) return await sieved(body, new JsonSieve(outline, { what: describe(request), maxBytes }));
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new ResponseTooLarge(describe(request), maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function sieved(body: AsyncIterable<Uint8Array>, sieve: JsonSieve): Promise<string> {
  for await (const chunk of body) sieve.push(chunk);
  return sieve.take();
}

async function* explainedBody(
  request: ApiRequest,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw explain(request, error, signal);
  }
}

/** Our own kind of error for whatever undici threw; the abort reason if it was us. */
function explain(request: ApiRequest, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof ApiError || error instanceof DeadlineExceeded || error instanceof ResponseTooLarge) return error;
  const code = codeOf(error);
  return new ApiUnreachable(describe(request), error, !(unsentCodes.has(code) || trustCodes.test(code)));
}

function describe({ method, path }: ApiRequest): string {
  return `${method} ${path}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
