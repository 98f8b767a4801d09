// The admin port: a small HTTP server for kubelet, Prometheus and (in tunnel pods) the controller. Its number is decided by who starts it:
// contract/pod.ts for tunnel pods, the flag admin-port for the controller; `portforward open` starts none.
// It knows a table from path to function; what `/livez`, `/readyz`, `/metrics` and `/statusz` say is decided by their owners.
// Anybody in the cluster may reach it if nothing enforces NetworkPolicies, so its own limits keep it answering.
// Neighbours: src/controller/ and src/sidecar/ start one each, metrics.ts has the numbers, connection-limits.ts (who may stay connected).
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { abortable, onAbort } from './abort.ts';
import { type Clock, systemClock } from './clock.ts';
import { ConnectionKeeper } from './connection-limits.ts';
import { deadline } from './deadline.ts';
import type { Logger } from './log.ts';
import type { Registry } from './metrics.ts';

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export type ProbeRoute = () => Answer | Promise<Answer>;

export interface ProbeServerOptions {
  /** Address to listen on. Default: all addresses. */
  readonly host?: string | undefined;
  /** 0 takes a free port. */
  readonly port: number;
  /** Exact paths, such as `/livez`. */
  readonly routes: Readonly<Record<string, ProbeRoute>>;
  /** Closes the server and every connection of it. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
}

export interface ProbeServer {
  /** The port that was taken. */
  readonly port: number;
  /** Resolves when the server and its connections are closed. */
  readonly closed: Promise<void>;
}

/** The longest that a route may take, in milliseconds; then the answer is 503. */
const routeDeadlineMs = 10_000;

/** What a quiet connection may cost us, in milliseconds and bytes. */
const httpLimits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // Together with Node's own second on top: 5 s.
  keepAliveTimeout: 4_000,
  keepAliveTimeoutBuffer: 1_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8_192,
};

const connectionLimits = { total: 256, perAddress: 32, graceMs: 100 };

/** More than these at one moment are closed unread; the limits above follow within `graceMs`. */
const maxBurst = 1_024;

/** Connections that the kernel holds until we take them. With fewer, a burst costs others a second or more: their SYN is dropped. */
const backlog = 4_096;

/** A route that answers 200 `ok` while `problem()` gives nothing, else 503 with its sentence. */
export function check(problem: () => string | undefined): ProbeRoute {
  return () => {
    const sentence = problem();
    return sentence === undefined ? text(200, 'ok\n') : text(503, `${sentence}\n`);
  };
}

/** A route that answers with `value()` as JSON. */
export function json(value: () => unknown): ProbeRoute {
  return () => ({ status: 200, contentType: 'application/json', body: JSON.stringify(value()) });
}

/** New pages at once, and then one for each pause: a page costs milliseconds, which probes would wait for. */
const freshPages = { atOnce: 20, pauseMs: 100 };

/** A route that prints the registry for Prometheus. Whoever asks more often than ten times a second gets the last page again. */
export function metricsPage(registry: Registry, clock: Clock = systemClock): ProbeRoute {
  const { atOnce, pauseMs } = freshPages;
  let last: Promise<string> | undefined;
  /** When all of `atOnce` are free again. */
  let freeAt = clock.now();
  return async () => {
    const now = clock.now();
    freeAt = Math.max(freeAt, now);
    if (last === undefined || freeAt - now <= (atOnce - 1) * pauseMs) {
      freeAt += pauseMs;
      last = registry.metrics();
    }
    return { status: 200, contentType: registry.contentType, body: await last };
  };
}

/** Listens and resolves once it does; rejects if the port is taken. Ends only by `signal`. */
export async function startProbeServer(options: ProbeServerOptions): Promise<ProbeServer> {
  const { host, port, routes, signal, log, clock } = options;
  signal.throwIfAborted();
  // A null prototype, so that a request for `/constructor`-like names finds nothing.
  const table: Record<string, ProbeRoute> = Object.assign(Object.create(null), routes);
  const keeper = new ConnectionKeeper(connectionLimits, clock);
  const server = createServer(httpLimits, (request, response) => {
    response.once('close', keeper.busy(request.socket));
    void answer(request, response, { routes: table, log, clock });
  });
  server.on('connection', (socket) => keeper.add(socket));
  // Also ends an answer that nobody reads.
  server.timeout = 10_000;
  server.maxConnections = maxBurst;
  server.on('error', (error) => log.warn({ error }, 'the admin port reported an error'));
  // Not once(): it would reject without anyone to catch it if listening fails.
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  server.listen({ port, host, backlog });
  try {
    await once(server, 'listening', { signal });
  } catch (error) {
    server.close();
    signal.throwIfAborted();
    throw error;
  }
  const listening = onAbort(signal, () => {
    keeper[Symbol.dispose]();
    server.close();
    server.closeAllConnections();
  });
  server.once('close', () => listening[Symbol.dispose]());
  return { port: (server.address() as AddressInfo).port, closed };
}

type Answering = Pick<ProbeServerOptions, 'routes' | 'log' | 'clock'>;

async function answer(request: IncomingMessage, response: ServerResponse, answering: Answering): Promise<void> {
  // A peer that vanishes while we write needs no handling.
  response.on('error', () => undefined);
  // Nobody has a reason to send a body here.
  request.resume();
  const { status, contentType, body } = await findAnswer(request, answering);
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function findAnswer(request: IncomingMessage, { routes, log, clock }: Answering): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'method not allowed\n');
  const path = request.url?.split('?', 1)[0] ?? '';
  const route = routes[path];
  if (route === undefined) return text(404, 'not found\n');
  using limit = deadline(routeDeadlineMs, { clock, what: `the answer of ${path}` });
  try {
    return await abortable(Promise.resolve(route()), limit);
  } catch (error) {
    if (limit.expired) return text(503, 'no answer in time\n');
    log.error({ error, path }, 'the admin port could not answer');
    return text(500, 'internal error\n');
  }
}

function text(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}
