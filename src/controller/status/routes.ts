// Each bastion (ssm: node) over all pods, so that lost redundancy shows before it hurts. Pure.
// Neighbours: observed-tunnel.ts (what each pod says), status.ts (the whole status).
import type { PortForwardRouteStatus } from '../../contract/api/status.ts';
import { defined } from '../../contract/defined.ts';
import type { RouteStatus } from '../../contract/tunnel-status.ts';
import { dateTime, type ObservedTunnel, reasonWord } from './observed-tunnel.ts';

/** The first that a pod says wins: a bastion that carries clients works, whatever another pod met. */
const order = ['InUse', 'Failed', 'StandingBy', 'Untried'] as const satisfies readonly RouteStatus['state'][];

export interface ObservedRoute {
  readonly entry: PortForwardRouteStatus;
  /** The code of its failure. */
  readonly reason: string | undefined;
}

/** Every route that pods of the present template know; if none of them has told, those of the older pods. */
export function observedRoutes(
  tunnels: readonly ObservedTunnel[],
  previous: readonly PortForwardRouteStatus[] = [],
): readonly ObservedRoute[] {
  const told = tunnels.filter(({ status }) => (status?.routes?.length ?? 0) > 0);
  const current = told.filter((tunnel) => tunnel.current);
  const said = (current.length > 0 ? current : told).flatMap(({ status }) => status?.routes ?? []);
  const vias = [...new Set(said.map(({ via }) => via))].slice(0, 64);
  return vias.map((via) => {
    const [best] = said
      .filter((route) => route.via === via)
      .toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
    const state = best?.state ?? 'Untried';
    const before = previous.find((route) => route.via === via.slice(0, 320));
    const entry = defined({
      via: via.slice(0, 320),
      state,
      since: before?.state === state ? before.since : dateTime(best?.since),
      message: best?.message,
    });
    return { entry, reason: best?.reason === undefined ? undefined : reasonWord(best.reason) };
  });
}
