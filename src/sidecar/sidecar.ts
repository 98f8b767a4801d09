// One tunnel with its local ports, in a pod or on a laptop: driver → tunnel → listeners → admin port, and the drain at its end.
// Neighbours: main.ts starts it in a pod, cli/open.ts on a laptop. Read on in tunnel/tunnel.ts (keeps sessions alive),
// clients/listener.ts (accepts clients) and clients/bridge.ts (carries their bytes).
import { noPermissions, type Permissions } from '../contract/permissions.ts';
import { podNameVariable } from '../contract/pod.ts';
import type { TunnelConfig } from '../contract/tunnel-config.ts';
import type { TunnelStatus } from '../contract/tunnel-status.ts';
import { aborted } from '../process/abort.ts';
import { type Clock, sleep, systemClock } from '../process/clock.ts';
import { deadline } from '../process/deadline.ts';
import type { Logger } from '../process/log.ts';
import { createRegistry, type Registry } from '../process/metrics.ts';
import { startProbeServer } from '../process/probe-server.ts';
import type { ReportSpan } from '../process/span.ts';
import { ByteBudget } from './base/byte-budget.ts';
import type { Engine, EngineAddon } from './base/native-engine.ts';
import { Changes } from './changes.ts';
import type { OpenClientSource } from './clients/client-source.ts';
import { ConnectionShares } from './clients/connection-shares.ts';
import { Listener } from './clients/listener.ts';
import { acceptByEngine } from './clients/native-clients.ts';
import { openEngine } from './data-path.ts';
import { serveDoctor } from './doctor/doctor-server.ts';
import { type OpenedDriver, openDriver } from './drivers/index.ts';
import { Health } from './health/health.ts';
import { createTunnelMetrics, type TunnelMetrics } from './metrics.ts';
import { adminRoutes, type StatusSources, statusOf, whyNotReady } from './status.ts';
import { tracedObserver } from './traced-observer.ts';
import { Tunnel } from './tunnel/tunnel.ts';
import type { TunnelObserver } from './tunnel/tunnel-options.ts';

export interface SidecarOptions {
  readonly podUid: string;
  readonly log: Logger;
  /** The environment variables that drivers may read, for example a proxy or a cloud identity. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What an administrator, or the user of a laptop, allows. Default: nothing. */
  readonly permissions?: Permissions;
  /** The address to listen on. Default: every address of the machine. */
  readonly address?: string;
  /** 0: any free port. Default: no admin port, as on a laptop; main.ts gives a pod its port. */
  readonly adminPort?: number;
  /** Where `doctor` asks this process. Default: nowhere, as on a laptop. */
  readonly doctorSocket?: string | undefined;
  /** Takes spans of dials and reconnects. Default: nothing is traced. */
  readonly trace?: ReportSpan | undefined;
  readonly clock?: Clock;
  /** Carries the clients of ssh tunnels. Default: JavaScript does. */
  readonly engine?: EngineAddon | undefined;
  /** Replaces the driver that the config names; for tests. */
  readonly openDriver?: typeof openDriver;
}

export interface LocalPort {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A running tunnel with its listeners. */
export interface Sidecar {
  /** The address that each forward listens on. */
  readonly ports: readonly LocalPort[];
  readonly adminPort: number | undefined;
  status(): TunnelStatus;
  /** Calls back after every change of `status()`; returns the unsubscribe. */
  onChange(listener: () => void): () => void;
  /**
   * Drains: becomes unready at once, accepts clients for `lagMs` more, waits for the open connections, resets those that are left
   * `drainMs` after the call, then ends everything. Resolves when nothing is left; a second call only waits for the first.
   */
  stop(limits?: DrainLimits): Promise<void>;
}

export interface DrainLimits {
  /** Milliseconds. Default: 0. */
  readonly lagMs?: number;
  /** Milliseconds. Default: the config's `drainTimeoutSeconds`. */
  readonly drainMs?: number;
}

/** Listens on every forward's port and keeps the tunnel up until `stop`. @throws if a port is taken. No failure of the far side ends it. */
export async function startSidecar(config: TunnelConfig, options: SidecarOptions): Promise<Sidecar> {
  const budget = new ByteBudget();
  const { podUid, log, environment, permissions = noPermissions, engine: addon } = options;
  const engine = openEngine(addon, budget, log);
  const surroundings = { podUid, log, budget, environment, permissions, engine };
  const opened = await (options.openDriver ?? openDriver)(config, surroundings);
  const sidecar = new RunningSidecar(config, options, { ...opened, engine }, budget);
  await sidecar.start();
  return sidecar;
}

type Opened = OpenedDriver & { readonly engine: Engine | undefined };

class RunningSidecar implements Sidecar {
  readonly #config: TunnelConfig;
  readonly #options: SidecarOptions;
  readonly #clock: Clock;
  readonly #opened: Opened;
  readonly #budget: ByteBudget;
  readonly #connections: ConnectionShares;
  readonly #registry: Registry;
  readonly #metrics: TunnelMetrics;
  readonly #observer: TunnelObserver;
  readonly #tunnel: Tunnel;
  readonly #health: Health;
  readonly #sources: StatusSources;
  readonly #changes: Changes;
  readonly #stopWatchingTunnel: () => void;
  readonly #listeners: Listener[] = [];
  readonly #admin = new AbortController();
  readonly #doctor = new AbortController();
  #walked: () => Promise<void> = async () => undefined;
  #adminPort: number | undefined;
  #drainingSince: Date | undefined;
  #stopping: Promise<void> | undefined;

  constructor(config: TunnelConfig, options: SidecarOptions, opened: Opened, budget: ByteBudget) {
    const { log, clock = systemClock } = options;
    const { forwards, connection, healthCheck } = config;
    this.#config = config;
    this.#options = options;
    this.#clock = clock;
    this.#opened = opened;
    this.#budget = budget;
    const names = forwards.map(({ name }) => name);
    this.#connections = new ConnectionShares(connection.maxConnections, names, clock);
    const { engine } = opened;
    this.#registry = createRegistry({ waitedMs: engine && (() => engine.waitedMs()) });
    this.#metrics = createTunnelMetrics(this.#registry);
    const { tunnel: counting } = this.#metrics;
    this.#observer = options.trace === undefined ? counting : tracedObserver(counting, options.trace, clock);
    this.#tunnel = new Tunnel({
      ...opened,
      forwards,
      mode: connection.mode,
      idleTimeoutMs: connection.idleTimeoutSeconds * 1000,
      drainTimeoutMs: connection.drainTimeoutSeconds * 1000,
      clock,
      log,
      observer: this.#observer,
    });
    this.#changes = new Changes(() => JSON.stringify(this.status()));
    this.#health = new Health({
      tunnel: this.#tunnel,
      forwards,
      config: healthCheck,
      optimisticDials: opened.optimisticDials === true,
      clock,
      log,
      onChange: () => this.#changes.check(),
    });
    this.#sources = {
      snapshot: () => this.#tunnel.snapshot,
      health: this.#health,
      connections: this.#connections,
      forwards,
      readinessPolicy: healthCheck.readinessPolicy,
      drainingSince: () => this.#drainingSince,
    };
    this.#stopWatchingTunnel = this.#tunnel.onChange(() => this.#changes.check());
    this.#showGauges();
  }

  get ports(): readonly LocalPort[] {
    return this.#listeners.map(({ forward, address }) => ({ name: forward.name, ...address }));
  }

  get adminPort(): number | undefined {
    return this.#adminPort;
  }

  status(): TunnelStatus {
    return statusOf(this.#sources);
  }

  onChange(listener: () => void): () => void {
    return this.#changes.listen(listener);
  }

  async stop(limits: DrainLimits = {}): Promise<void> {
    await (this.#stopping ??= this.#drain(limits));
  }

  /** Opens the ports, then starts the tunnel. @throws if a port cannot be opened; nothing is left open then. */
  async start(): Promise<void> {
    const { log, adminPort: port } = this.#options;
    try {
      for (const forward of this.#config.forwards) await this.#listen(forward);
      if (port !== undefined) {
        const routes = adminRoutes(this.#sources, this.#registry);
        this.#adminPort = (await startProbeServer({ port, routes, signal: this.#admin.signal, log })).port;
      }
    } catch (error) {
      await this.#end();
      throw error;
    }
    this.#tunnel.start();
    await this.#serveDoctor();
  }

  async #serveDoctor(): Promise<void> {
    const { doctorSocket: path, environment, podUid, log, permissions = noPermissions } = this.#options;
    if (path === undefined) return;
    const surroundings = { podUid, log, environment, permissions, budget: this.#budget };
    const pod = environment[podNameVariable] ?? podUid;
    const { signal } = this.#doctor;
    this.#walked = await serveDoctor({
      path,
      config: this.#config,
      surroundings,
      pod,
      status: () => this.status(),
      signal,
    });
  }

  async #listen(forward: TunnelConfig['forwards'][number]): Promise<void> {
    const { log, address } = this.#options;
    const listener = await Listener.open({
      forward,
      address,
      openSource: this.#clientSource(),
      dial: async (to, signal, earlier) => await this.#tunnel.dial(to, signal, earlier),
      optimisticDials: this.#opened.optimisticDials === true,
      onDial: (to, failure) => this.#health.recordDial(to, failure),
      connections: this.#connections,
      budget: this.#budget,
      log,
      observer: this.#metrics.listener,
    });
    this.#listeners.push(listener);
    log.info({ forward: forward.name, ...listener.address }, 'listening');
  }

  /** The engine accepts the clients of sessions that it can carry over. */
  #clientSource(): OpenClientSource | undefined {
    const { engine, carriesNatively = false, connectTimeoutMs } = this.#opened;
    const { log, trace } = this.#options;
    if (engine === undefined || !carriesNatively) return undefined;
    return acceptByEngine({
      engine,
      carriers: this.#tunnel.carriers,
      dialTimeoutMs: connectTimeoutMs,
      connections: this.#connections,
      cellsOf: (forward) => this.#metrics.listener.cellsOf(forward),
      onAnswered: (forward) => this.#health.recordDial(forward, undefined),
      // Each dial is a span. The engine has counted it.
      onDialled: trace === undefined ? undefined : (tookMs) => this.#observer.dialled(tookMs, undefined, true),
      logsEnds: log.isLevelEnabled('debug'),
    });
  }

  async #drain({
    lagMs = 0,
    drainMs = this.#config.connection.drainTimeoutSeconds * 1000,
  }: DrainLimits): Promise<void> {
    const { log } = this.#options;
    const clock = this.#clock;
    const clients = this.#connections;
    this.#drainingSince = clock.date();
    this.#changes.check();
    const lag = Math.min(lagMs, drainMs / 2);
    log.info({ clients: clients.open, drainTimeoutSeconds: drainMs / 1000 }, 'draining');
    await sleep(lag, { clock });
    for (const listener of this.#listeners) listener.stopAccepting();
    {
      using limit = deadline(drainMs - lag, { clock, what: 'the drain' });
      const empty = Promise.all(this.#listeners.map(async (listener) => await listener.empty()));
      await Promise.race([empty, aborted(limit.signal)]);
    }
    if (clients.open > 0) log.warn({ clients: clients.open }, 'the drain timeout is over: open connections are reset');
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#health.close();
    this.#stopWatchingTunnel();
    this.#doctor.abort();
    // At the same time: if a destination takes no more bytes, the connection of a client that has gone ends only with its session.
    await Promise.all([...this.#listeners.map(async (listener) => await listener.close()), this.#tunnel.close()]);
    // A walk that is under way has peers or sessions of its own to end.
    await Promise.all([this.#opened.driver.close(), this.#walked()]);
    this.#opened.engine?.close();
    this.#admin.abort();
  }

  #showGauges(): void {
    this.#metrics.showGauges({
      tunnel: this.#tunnel,
      isReady: () => whyNotReady(this.#sources) === undefined,
      health: this.#health,
      forwards: this.#config.forwards.map((forward) => forward.name),
      connections: this.#connections,
      budget: this.#budget,
      nativeCrypto: this.#opened.nativeCrypto,
    });
  }
}
