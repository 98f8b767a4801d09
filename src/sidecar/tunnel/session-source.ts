// What the dialer may ask of a tunnel: a session for a dial, one over another bastion, and why there is none.
// Neighbours: dialer.ts asks, tunnel.ts builds it from its parts, session-planner.ts opens what is missing.
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import type { NativeCarrier } from '../base/carrier.ts';
import type { PermissionRecheck } from './permission-recheck.ts';
import type { Routes } from './routes.ts';
import type { SessionPlanner } from './session-planner.ts';
import type { PooledSession, SessionPool } from './session-pool.ts';
import type { TunnelObserver } from './tunnel-options.ts';

/** What the dialer needs of the tunnel. */
export interface SessionSource {
  pick(avoid: ReadonlySet<PooledSession>): PooledSession | undefined;
  pickVia(via: string): PooledSession | undefined;
  /** A session over a route other than `via`, opened for this dial if there is none; undefined if no other route works now. */
  pickOther(via: string, options: { readonly signal: AbortSignal }): Promise<PooledSession | undefined>;
  /** A client waits, because no session can take its dial: another is opened if that helps. */
  clientWaits(): void;
  /** Why there is no session. */
  unavailableReason(): TunnelError;
  /** True when waiting cannot help: every route needs a person first. */
  needsIntervention(): boolean;
  /** Calls back after every change of the sessions; returns the unsubscribe. */
  onChange(listener: () => void): () => void;
  carry(entry: PooledSession): void;
  release(entry: PooledSession): void;
  answered(entry: PooledSession): void;
  /** The bastion does not allow that destination on this session. */
  prohibited(entry: PooledSession, forward: Forward): void;
  dialled: TunnelObserver['dialled'];
  /** Another bastion is asked first for some forward, or none any more. */
  preferenceChanged(): void;
  /** The session of that carrier; undefined if it is lost. */
  entryOf(carrier: NativeCarrier): PooledSession | undefined;
}

export interface SessionSourceOptions {
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly planner: SessionPlanner;
  readonly observer: TunnelObserver;
  readonly clock: Clock;
  /** Aborts when the tunnel is closed. */
  readonly ended: AbortSignal;
  readonly decide: () => void;
  readonly recheck: PermissionRecheck;
  readonly onChange: (listener: () => void) => () => void;
}

export function sessionSource(options: SessionSourceOptions): SessionSource {
  const { pool, routes, planner, observer, clock, ended, decide, recheck, onChange } = options;
  return {
    pick: (avoid) => pool.pick(avoid),
    pickVia: (via) => pool.pickVia(via),
    pickOther: async (via, { signal }) => {
      const other = routes.alternativeTo(via, clock.now());
      if (other === undefined || ended.aborted) return undefined;
      return await planner.requestSpare(other.via, { signal });
    },
    clientWaits: decide,
    unavailableReason: () => {
      if (ended.aborted) return new TunnelError('NotConnected', 'the tunnel is stopping');
      if (pool.usable().length > 0) {
        return new TunnelError('ConnectionLimit', 'every session carries its maximum of streams: add replicas');
      }
      const via = routes.list[0]?.via ?? 'the bastion';
      return routes.error ?? new TunnelError('NotConnected', `there is no session to ${via} yet`);
    },
    needsIntervention: () => ended.aborted || (pool.usable().length === 0 && routes.needsIntervention),
    onChange,
    carry: (entry) => pool.carry(entry),
    release: (entry) => pool.release(entry),
    answered: (entry) => {
      if (pool.answered(entry) && entry.role === 'trial') decide();
    },
    prohibited: (entry, forward) => {
      if (!recheck.begin(entry, forward, planner.credentialsGeneration + 1)) return;
      planner.startGeneration();
      decide();
    },
    dialled: (milliseconds, failure, isCounted) => observer.dialled(milliseconds, failure, isCounted),
    preferenceChanged: decide,
    entryOf: (carrier) => pool.entryOf(carrier),
  };
}
