// The sidecar's series for Prometheus, all named portforward_tunnel_*. Gauges are read when Prometheus asks; counters are incremented as things happen.
// Neighbours: sidecar.ts makes them and hands the observers to tunnel and listeners.
import type { Code } from '../contract/errors.ts';
import { addReadHistogram, Counter, Gauge, type Registry } from '../process/metrics.ts';
import type { ByteBudget } from './base/byte-budget.ts';
import { dialBuckets } from './base/native-engine.ts';
import type { ConnectionShares } from './clients/connection-shares.ts';
import type { Health } from './health/health.ts';
import { DialTimes, ListenerCounts } from './listener-counts.ts';
import { isResponsive } from './tunnel/session-pool.ts';
import type { Tunnel } from './tunnel/tunnel.ts';
import type { TunnelObserver } from './tunnel/tunnel-options.ts';

const prefix = 'portforward_tunnel_';

/** What the gauges read. */
export interface GaugeSources {
  readonly tunnel: Pick<Tunnel, 'sessions' | 'snapshot'>;
  readonly isReady: () => boolean;
  readonly health: Health;
  readonly forwards: readonly string[];
  readonly connections: ConnectionShares;
  readonly budget: ByteBudget;
  /** Whether the driver's ciphers run natively; undefined if the driver has none. */
  readonly nativeCrypto: boolean | undefined;
}

export interface TunnelMetrics {
  readonly tunnel: TunnelObserver;
  readonly listener: ListenerCounts;
  /** Adds the gauges. Called once, as soon as their sources exist. */
  showGauges(sources: GaugeSources): void;
}

export function createTunnelMetrics(registry: Registry): TunnelMetrics {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter({ name: `${prefix}${name}`, help, labelNames: [...labelNames], registers });

  const opened = counter('sessions_opened_total', 'Sessions that were authenticated.', []);
  const lost = counter('sessions_lost_total', 'Sessions that ended without being asked to, by error code.', ['code']);
  const failed = counter('connect_failures_total', 'Attempts to open a session that failed, by error code.', ['code']);
  const dialFailures = counter('dial_failures_total', 'Dials that failed, by error code.', ['code']);
  const listener = new ListenerCounts();
  addListenerCounters(listener, registers);
  const dialTimes = new DialTimes();
  addReadHistogram(registry, {
    name: `${prefix}dial_duration_seconds`,
    help: 'Time from asking a session for a stream to its answer.',
    buckets: dialBuckets,
    read: () => dialTimes.with(listener.cells),
  });

  return {
    tunnel: {
      sessionOpened: () => opened.inc(),
      sessionLost: (code: Code) => lost.inc({ code }),
      attemptFailed: (code: Code) => failed.inc({ code }),
      dialled: (milliseconds, failure, isCounted = false) => {
        if (!isCounted) dialTimes.add(milliseconds / 1000);
        if (failure !== undefined) dialFailures.inc({ code: failure });
      },
    },
    listener,
    showGauges: (sources) => addGauges(sources, registers),
  };
}

/** Read when Prometheus asks: the native engine counts in place. */
function addListenerCounters(counts: ListenerCounts, registers: Registry[]): void {
  new Counter({
    name: `${prefix}connections_total`,
    help: 'Client connections accepted.',
    labelNames: ['port'],
    registers,
    collect() {
      this.reset();
      for (const [port, count] of counts.connections()) this.inc({ port }, count);
    },
  });
  new Counter({
    name: `${prefix}bytes_total`,
    help: 'Bytes carried.',
    labelNames: ['port', 'direction'],
    registers,
    collect() {
      this.reset();
      for (const [port, { toDestination, toClient }] of counts.bytes()) {
        this.inc({ port, direction: 'to_destination' }, toDestination);
        this.inc({ port, direction: 'to_client' }, toClient);
      }
    },
  });
  new Counter({
    name: `${prefix}client_resets_total`,
    help: 'Clients that were reset or told a reason, by cause.',
    labelNames: ['port', 'cause'],
    registers,
    collect() {
      this.reset();
      for (const [port, cause, count] of counts.resets()) this.inc({ port, cause }, count);
    },
  });
}

function addGauges(sources: GaugeSources, registers: Registry[]): void {
  const { tunnel, isReady, health, forwards, connections, budget, nativeCrypto } = sources;
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('ready', '1 while the pod is ready.', () => Number(isReady()));
  gauge('open_connections', 'Client connections open now.', () => connections.open);
  gauge('max_connections', 'The most client connections that the pod carries.', () => connections.max);
  new Gauge({
    name: `${prefix}port_full`,
    help: '1 while the port refuses clients because the pod carries all connections that it may have.',
    labelNames: ['port'],
    registers,
    collect() {
      for (const port of forwards) this.set({ port }, Number(connections.refusingSince(port) !== undefined));
    },
  });
  gauge('buffered_bytes', 'Bytes counted against the memory budget of the pod.', () => budget.used);
  if (nativeCrypto !== undefined) {
    gauge('native_crypto', '1 if ssh’s ciphers run natively, 0 if in slower JavaScript.', () => Number(nativeCrypto));
  }
  gauge('streams', 'Streams and dials over all sessions.', () =>
    tunnel.sessions.reduce((sum, entry) => sum + entry.carried, 0),
  );
  addSessionGauges(tunnel, registers);
  addRouteGauges(tunnel, registers);
  addHandshakeGauge(tunnel, registers);
  addMessageGauge(tunnel, registers);
  new Gauge({
    name: `${prefix}destination_reachable`,
    help: '1 if the last result for the destination was a success, 0 if not; absent while nothing is known.',
    labelNames: ['port'],
    registers,
    collect() {
      this.reset();
      for (const port of forwards) {
        const reachable = health.of(port)?.reachable;
        if (reachable !== undefined) this.set({ port }, Number(reachable));
      }
    },
  });
}

function addSessionGauges(tunnel: GaugeSources['tunnel'], registers: Registry[]): void {
  new Gauge({
    name: `${prefix}sessions`,
    help: 'Sessions by part (live, trial, spare, retired); suspect ones are counted as suspect.',
    labelNames: ['part'],
    registers,
    collect() {
      this.reset();
      for (const part of ['live', 'trial', 'spare', 'retired', 'suspect']) this.set({ part }, 0);
      for (const entry of tunnel.sessions) this.inc({ part: isResponsive(entry) ? entry.role : 'suspect' });
    },
  });
  new Gauge({
    name: `${prefix}native_sessions`,
    help: 'Sessions whose clients the native engine carries (ssh only).',
    registers,
    collect() {
      this.set(tunnel.sessions.filter(({ session }) => session.carrier !== undefined).length);
    },
  });
}

/** A tunnel that carries makes a handshake every two minutes. */
function addHandshakeGauge(tunnel: GaugeSources['tunnel'], registers: Registry[]): void {
  new Gauge({
    name: `${prefix}handshake_age_seconds`,
    help: 'Time since the last handshake of WireGuard, by transport (fly only).',
    labelNames: ['transport'],
    registers,
    collect() {
      this.reset();
      const { transport, handshakeAt } = tunnel.snapshot.facts ?? {};
      if (transport === undefined || handshakeAt === undefined) return;
      this.set({ transport }, Math.max(0, (Date.now() - Date.parse(handshakeAt)) / 1000));
    },
  });
}

/** A node whose relay carries small messages only is slow, and nothing else shows why. */
function addMessageGauge(tunnel: GaugeSources['tunnel'], registers: Registry[]): void {
  new Gauge({
    name: `${prefix}message_bytes`,
    help: 'The largest message to the node in bytes: 16384, or 1024 where a larger one was not carried (ssm only).',
    labelNames: ['via'],
    registers,
    collect() {
      this.reset();
      const { via, facts } = tunnel.snapshot;
      if (via !== undefined && facts?.messageBytes !== undefined) this.set({ via }, facts.messageBytes);
    },
  });
}

/** Lost redundancy and a refused rotation: nothing is broken yet. */
function addRouteGauges(tunnel: GaugeSources['tunnel'], registers: Registry[]): void {
  new Gauge({
    name: `${prefix}routes`,
    help: 'Bastions, nodes or gateways by what is known of them: InUse, StandingBy, Untried, Failed.',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const state of ['InUse', 'StandingBy', 'Untried', 'Failed']) this.set({ state }, 0);
      for (const { state } of tunnel.snapshot.routes) this.inc({ state });
    },
  });
  new Gauge({
    name: `${prefix}credentials_refused`,
    help: 'Bastions that refuse what the Secrets hold now, also where an earlier content still carries.',
    registers,
    collect() {
      this.set(tunnel.snapshot.credentials?.refused.size ?? 0);
    },
  });
}
