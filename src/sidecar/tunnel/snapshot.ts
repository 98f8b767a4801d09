// The state of a tunnel at one moment. Neighbours: tunnel.ts takes it after every change, status.ts makes the document of /statusz from it.
import { defined } from '../../contract/defined.ts';
import type { TunnelError } from '../../contract/errors.ts';
import type { CredentialsVerdict, Session } from '../base/driver.ts';
import { type RouteState, routeStatesAfter } from './route-states.ts';
import type { Routes } from './routes.ts';
import type { SessionPlanner } from './session-planner.ts';
import type { SessionPool } from './session-pool.ts';

export interface TunnelSnapshot {
  readonly state: 'Idle' | 'Connecting' | 'Connected' | 'Failed';
  /** When `state` last changed. */
  readonly since: Date;
  /** The route whose session takes new connections, and its facts. */
  readonly via?: string;
  readonly facts?: Session['facts'];
  /** Why there is no session. */
  readonly error?: TunnelError;
  /** Every route with what is known of it, the preferred ones first. */
  readonly routes: readonly RouteState[];
  /** What became of the credentials on disk; absent if the driver uses none of ours. */
  readonly credentials?: CredentialsVerdict;
}

/** What a snapshot is taken of. */
interface Seen {
  readonly planner: SessionPlanner;
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly isActive: boolean;
  readonly credentials: CredentialsVerdict | undefined;
}

/** The next snapshot. */
export function snapshotAfter(before: TunnelSnapshot, now: Date, seen: Seen): TunnelSnapshot {
  const { planner, pool, routes, isActive, credentials } = seen;
  const inUse = new Set(pool.usable().map(({ via }) => via));
  const states = routeStatesAfter(before.routes, now, routes.list, inUse);
  const reached = (state: TunnelSnapshot['state']): TunnelSnapshot => ({
    state,
    since: state === before.state ? before.since : now,
    routes: states,
    ...defined({ credentials }),
  });
  const best = planner.best();
  if (best !== undefined) return { ...reached('Connected'), via: best.via, facts: best.session.facts };
  if (!isActive) return reached('Idle');
  const error = routes.isUndecided ? undefined : routes.error;
  return error === undefined ? reached('Connecting') : { ...reached('Failed'), error };
}
