// What the sidecar reports about itself on the admin port: /statusz for the controller, /readyz and /livez for the kubelet.
// Neighbours: contract/tunnel-status.ts is the document, tunnel.ts and health/ the truth behind it, process/probe-server.ts serves it.
import { defined } from '../contract/defined.ts';
import { destinationText, type Forward, type TunnelConfig } from '../contract/tunnel-config.ts';
import { maxRoutes, type PortStatus, type RouteStatus, type TunnelStatus } from '../contract/tunnel-status.ts';
import type { Registry } from '../process/metrics.ts';
import { metricsPage, type ProbeRoute } from '../process/probe-server.ts';
import type { CredentialsVerdict } from './base/driver.ts';
import type { ConnectionShares } from './clients/connection-shares.ts';
import type { Health } from './health/health.ts';
import type { RouteState } from './tunnel/route-states.ts';
import type { TunnelSnapshot } from './tunnel/snapshot.ts';

export interface StatusSources {
  readonly snapshot: () => TunnelSnapshot;
  readonly health: Pick<Health, 'of'>;
  readonly connections: Pick<ConnectionShares, 'refusingSince' | 'openOf'>;
  readonly forwards: readonly Forward[];
  readonly readinessPolicy: TunnelConfig['healthCheck']['readinessPolicy'];
  /** When the process was asked to stop; undefined before. */
  readonly drainingSince: () => Date | undefined;
}

/** The document of /statusz. */
export function statusOf({ snapshot, health, connections, forwards, drainingSince }: StatusSources): TunnelStatus {
  const { state, since, via, facts, error, routes, credentials } = snapshot();
  const draining = drainingSince();
  return {
    version: 1,
    state: draining === undefined ? state : 'Draining',
    since: (draining ?? since).toISOString(),
    ...defined({ via, reason: error?.code, message: error && sentence(error.message) }),
    ...facts,
    ports: forwards.map((forward) => portStatusOf(forward, health, connections)),
    routes: routes.slice(0, maxRoutes).map(routeStatusOf),
    ...defined({ credentials: credentials && credentialsStatusOf(credentials) }),
  };
}

function routeStatusOf({ via, state, since, error: why }: RouteState): RouteStatus {
  return defined({
    via,
    state,
    since: since.toISOString(),
    reason: why?.code,
    message: why && sentence(why.message),
  });
}

function credentialsStatusOf({ isTried, refused }: CredentialsVerdict): NonNullable<TunnelStatus['credentials']> {
  const [first] = refused.values();
  if (first === undefined) return { current: isTried ? true : null };
  return { current: false, reason: first.code, message: sentence(first.message) };
}

function portStatusOf(
  { name, destination }: Forward,
  health: StatusSources['health'],
  connections: StatusSources['connections'],
): PortStatus {
  const reachability = health.of(name);
  const failure = reachability?.failure;
  return {
    name,
    destination: destinationText(destination),
    reachable: reachability?.reachable ?? null,
    clients: connections.openOf(name),
    ...defined({
      reason: failure?.code,
      message: failure && sentence(failure.message),
      fullSince: connections.refusingSince(name)?.toISOString(),
    }),
  };
}

/** The longest text that contract/tunnel-status.ts admits. */
function sentence(text: string): string {
  return text.length <= 1024 ? text : `${text.slice(0, 1023)}…`;
}

/** Why the pod is not ready; undefined while it is: connected or idle on demand, and under the policy Destination every checked port reachable. */
export function whyNotReady(sources: StatusSources): { readonly reason: string; readonly message: string } | undefined {
  const { state, ports, reason, message } = statusOf(sources);
  if (state === 'Idle') return undefined;
  if (state === 'Draining') return { reason: 'Draining', message: 'the pod is shutting down' };
  if (state !== 'Connected') return { reason: reason ?? 'NotConnected', message: message ?? 'there is no session yet' };
  if (sources.readinessPolicy === 'Transport') return undefined;
  const checked = new Set(
    sources.forwards.filter((forward) => forward.health !== 'Off').map((forward) => forward.name),
  );
  const missing = ports.find((port) => checked.has(port.name) && port.reachable !== true);
  if (missing === undefined) return undefined;
  return {
    reason: missing.reason ?? 'NotChecked',
    message: `port ${missing.name}: ${missing.message ?? 'its destination has not answered yet'}`,
  };
}

/** The pages of the admin port. */
export function adminRoutes(sources: StatusSources, registry: Registry): Readonly<Record<string, ProbeRoute>> {
  return {
    // An answer alone proves that the event loop runs.
    '/livez': () => jsonAnswer(200, { live: true }),
    '/readyz': () => {
      const problem = whyNotReady(sources);
      return problem === undefined ? jsonAnswer(200, { ready: true }) : jsonAnswer(503, { ready: false, ...problem });
    },
    '/statusz': () => jsonAnswer(200, statusOf(sources)),
    '/metrics': metricsPage(registry),
  };
}

function jsonAnswer(status: number, value: unknown): { status: number; contentType: string; body: string } {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value)}\n` };
}
