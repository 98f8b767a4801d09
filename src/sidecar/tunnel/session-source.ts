// What the dialer may ask of a tunnel: a session for a dial, one over another bastion, and why there is none.
// Neighbours: dialer.ts asks, tunnel.ts builds it from its parts, session-planner.ts opens what is missing.
import { TunnelError } from '../../contract/errors.ts';
import type { Clock } from '../../process/clock.ts';
import type { SessionSource } from './dialer.ts';
import type { Routes } from './routes.ts';
import type { SessionPlanner } from './session-planner.ts';
import type { SessionPool } from './session-pool.ts';
import type { TunnelObserver } from './tunnel-options.ts';

export interface SessionSourceOptions {
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly planner: SessionPlanner;
  readonly observer: TunnelObserver;
  readonly clock: Clock;
  /** Aborts when the tunnel is closed. */
  readonly ended: AbortSignal;
  readonly decide: () => void;
  readonly prohibited: SessionSource['prohibited'];
  readonly onChange: (listener: () => void) => () => void;
}

export function sessionSource(options: SessionSourceOptions): SessionSource {
  const { pool, routes, planner, observer, clock, ended, decide, prohibited, onChange } = options;
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
    prohibited,
    dialled: (milliseconds, failure) => observer.dialled(milliseconds, failure),
  };
}
