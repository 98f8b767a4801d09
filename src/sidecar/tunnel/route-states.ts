// What is known of each route at one moment, for people: which one carries, which ones stand by, and which one would not help.
// Neighbours: tunnel.ts takes it after every change, status.ts reports it, standby-check.ts keeps it from growing old.
import type { TunnelError } from '../../contract/errors.ts';
import type { RouteStatus } from '../../contract/tunnel-status.ts';
import type { RouteAttempts } from './route-attempts.ts';

export interface RouteState {
  readonly via: string;
  /** InUse: a session over it takes dials. StandingBy: the last login worked. Untried: no result yet. */
  readonly state: RouteStatus['state'];
  /** When `state` last changed. */
  readonly since: Date;
  /** Why it has failed. */
  readonly error?: TunnelError;
}

/** The states after `before`: a route that keeps its state keeps its time. */
export function routeStatesAfter(
  before: readonly RouteState[],
  now: Date,
  routes: readonly RouteAttempts[],
  inUse: ReadonlySet<string>,
): readonly RouteState[] {
  return routes.map((route) => {
    const { via, lastError } = route;
    const last = before.find((each) => each.via === via);
    const state = inUse.has(via)
      ? 'InUse'
      : lastError !== undefined
        ? 'Failed'
        : route.hasWorked
          ? 'StandingBy'
          : 'Untried';
    const known = { via, state, since: last?.state === state ? last.since : now } as const;
    return state === 'Failed' && lastError !== undefined ? { ...known, error: lastError } : known;
  });
}
