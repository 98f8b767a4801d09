// The tunnel pod's process, and the same tunnel for the laptop: config → driver → tunnel → listeners → admin port. Read on in tunnel.ts
// (keeps sessions alive), listener.ts (accepts clients) and bridge.ts (carries their bytes).
import { randomUUID } from 'node:crypto';
import { TunnelError } from '../contract/errors.ts';
import { adminPort, configVariable, podNameVariable, podUidVariable } from '../contract/pod.ts';
import { parseTunnelConfig, type TunnelConfig } from '../contract/tunnel-config.ts';
import type { TunnelStatus } from '../contract/tunnel-status.ts';
import { aborted } from '../process/abort.ts';
import { type Clock, systemClock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import { createRegistry } from '../process/metrics.ts';
import { startProbeServer } from '../process/probe-server.ts';
import { ByteBudget } from './base/byte-budget.ts';
import { ConnectionLimit, Listener } from './clients/listener.ts';
import { type OpenedDriver, openDriver } from './drivers/index.ts';
import { Health } from './health/health.ts';
import { createTunnelMetrics } from './metrics.ts';
import { adminRoutes, type StatusSources, statusOf, whyNotReady } from './status.ts';
import { Tunnel } from './tunnel/tunnel.ts';

/** Endpoints lag behind a pod's readiness: clients still come for about this long after SIGTERM, and are still accepted. */
const endpointLagMs = 3_000;

export interface SidecarOptions {
  readonly podUid: string;
  readonly log: Logger;
  /** Where clients are listened for; undefined: every address of the machine. */
  readonly address?: string;
  /** Undefined: no admin port. 0: a free one. */
  readonly adminPort?: number;
  readonly clock?: Clock;
  /** Instead of the driver that the config names; for tests. */
  readonly openDriver?: typeof openDriver;
}

export interface LocalPort {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A running tunnel with its listeners. */
export interface Sidecar {
  /** Where each forward is listened for. */
  readonly ports: readonly LocalPort[];
  readonly adminPort: number | undefined;
  status(): TunnelStatus;
  /** Calls back after every change of `status()`; returns the unsubscribe. */
  onChange(listener: () => void): () => void;
  /**
   * Drains: not ready at once, accepts for `lagMs` more, waits for the open connections, resets what is left after `drainMs` in all;
   * then ends everything. Resolves when nothing is left; a second call only waits for the first.
   */
  stop(limits?: DrainLimits): Promise<void>;
}

export interface DrainLimits {
  /** 0 unless told. */
  readonly lagMs?: number;
  /** The config's `drainTimeoutSeconds` unless told. */
  readonly drainMs?: number;
}

/** Listens on every forward's port and keeps the tunnel up until `stop`. @throws when a port is taken. No failure of the far side ends it. */
export async function startSidecar(config: TunnelConfig, options: SidecarOptions): Promise<Sidecar> {
  const { log, clock = systemClock } = options;
  const { forwards, connection, healthCheck } = config;
  const drainTimeoutMs = connection.drainTimeoutSeconds * 1000;
  const budget = new ByteBudget();
  const opened: OpenedDriver = await (options.openDriver ?? openDriver)(config, {
    podUid: options.podUid,
    log,
    budget,
    environment: process.env,
  });
  const registry = createRegistry();
  const metrics = createTunnelMetrics(registry);
  const limit = new ConnectionLimit(connection.maxConnections);
  const tunnel = new Tunnel({
    ...opened,
    forwards,
    mode: connection.mode,
    idleTimeoutMs: connection.idleTimeoutSeconds * 1000,
    drainTimeoutMs,
    clock,
    log,
    observer: metrics.tunnel,
  });
  const changed = new Changes(() => JSON.stringify(statusOf(sources)));
  const health = new Health({
    tunnel,
    forwards,
    config: healthCheck,
    blindDials: opened.blindDials === true,
    clock,
    log,
    onChange: () => changed.check(),
  });
  let drainingSince: Date | undefined;
  const sources: StatusSources = {
    snapshot: () => tunnel.snapshot,
    health,
    forwards,
    readinessPolicy: healthCheck.readinessPolicy,
    drainingSince: () => drainingSince,
  };
  const unsubscribe = tunnel.onChange(() => changed.check());
  metrics.measure({
    sessions: () => tunnel.sessions,
    isReady: () => whyNotReady(sources) === undefined,
    health,
    forwards: forwards.map((forward) => forward.name),
    limit,
    budget,
    nativeCrypto: opened.nativeCrypto,
  });

  const admin = new AbortController();
  const listeners: Listener[] = [];
  const end = async (): Promise<void> => {
    health.close();
    unsubscribe();
    // Together: a connection whose client is gone ends with its session, not before, if its destination takes no more bytes.
    await Promise.all([...listeners.map(async (listener) => await listener.close()), tunnel.close()]);
    await opened.driver.close();
    admin.abort();
  };

  let boundAdminPort: number | undefined;
  try {
    for (const forward of forwards) {
      const listener = await Listener.open({
        forward,
        ...(options.address === undefined ? {} : { address: options.address }),
        dial: async (to, signal) => await tunnel.dial(to, signal),
        blindDials: opened.blindDials === true,
        onDial: (to, failure) => health.recordDial(to, failure),
        limit,
        budget,
        log,
        observer: metrics.listener,
      });
      listeners.push(listener);
      log.info({ forward: forward.name, ...listener.address }, 'listening');
    }
    if (options.adminPort !== undefined) {
      const routes = adminRoutes(sources, registry);
      boundAdminPort = (await startProbeServer({ port: options.adminPort, routes, signal: admin.signal, log })).port;
    }
  } catch (error) {
    await end();
    throw error;
  }
  tunnel.start();

  const drain = async ({ lagMs = 0, drainMs = drainTimeoutMs }: DrainLimits): Promise<void> => {
    drainingSince = clock.date();
    changed.check();
    const lag = Math.min(lagMs, drainMs / 2);
    log.info({ clients: limit.open, drainTimeoutSeconds: drainMs / 1000 }, 'draining');
    await elapsed(clock, lag);
    for (const listener of listeners) listener.stopAccepting();
    const empty = Promise.all(listeners.map(async (listener) => await listener.empty()));
    let cancel = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      cancel = clock.after(drainMs - lag, resolve);
    });
    await Promise.race([empty, over]);
    cancel();
    if (limit.open > 0) log.warn({ clients: limit.open }, 'the drain timeout is over: open connections are reset');
    await end();
  };
  let stopping: Promise<void> | undefined;

  return {
    ports: listeners.map(({ forward, address }) => ({ name: forward.name, ...address })),
    adminPort: boundAdminPort,
    status: () => statusOf(sources),
    onChange: (listener) => changed.listen(listener),
    stop: async (limits = {}) => await (stopping ??= drain(limits)),
  };
}

/** Tells listeners when a text differs from the last one. */
class Changes {
  readonly #read: () => string;
  readonly #listeners = new Set<() => void>();
  #last = '';

  constructor(read: () => string) {
    this.#read = read;
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  check(): void {
    if (this.#listeners.size === 0) return;
    const text = this.#read();
    if (text === this.#last) return;
    this.#last = text;
    for (const listener of this.#listeners) listener();
  }
}

async function elapsed(clock: Clock, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    clock.after(ms, resolve);
  });
}

export interface RunSidecarOptions {
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Instead of the port that kubelet and controller know; for tests. */
  readonly adminPort?: number;
}

/** The tunnel pod: reads the environment, runs until `signal` aborts, then drains. @throws TunnelError ConfigUnreadable. */
export async function runSidecar({ signal, log, adminPort: port = adminPort }: RunSidecarOptions): Promise<void> {
  const text = process.env[configVariable];
  if (text === undefined)
    throw new TunnelError('ConfigUnreadable', `the environment variable ${configVariable} is not set`);
  const config = parseTunnelConfig(text);
  const podUid = process.env[podUidVariable] ?? randomUUID();
  const podLog = log.child({
    namespace: config.namespace,
    portForward: config.name,
    pod: process.env[podNameVariable],
  });
  const sidecar = await startSidecar(config, { podUid, log: podLog, adminPort: port });
  await aborted(signal);
  await sidecar.stop({ lagMs: endpointLagMs });
  log.info('stopped');
}
