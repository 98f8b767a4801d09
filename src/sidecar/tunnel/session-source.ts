// What the dialer may ask of a tunnel: a session for a dial, one over another bastion, and why there is none.
// Neighbours: dialer.ts asks, tunnel.ts builds it from its parts.
import { TunnelError } from '../../contract/errors.ts';
import type { SessionSource } from './dialer.ts';
import type { Routes } from './routes.ts';
import type { Upkeep } from './session-planner.ts';
import type { PooledSession, SessionPool } from './session-pool.ts';
import type { TunnelObserver } from './tunnel-options.ts';

export interface SessionSourceOptions {
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly upkeep: Upkeep;
  readonly observer: TunnelObserver;
  /** Aborts when the tunnel is closed. */
  readonly ended: AbortSignal;
  readonly decide: () => void;
  readonly prohibited: SessionSource['prohibited'];
  readonly onChange: (listener: () => void) => () => void;
}

export function sessionSource(options: SessionSourceOptions): SessionSource {
  const { pool, routes, upkeep, observer, ended, decide, prohibited, onChange } = options;

  /** Resolves at the next change. @throws the signal's reason. */
  const change = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    await new Promise<void>((resolve) => {
      const done = (): void => {
        unsubscribe();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const unsubscribe = onChange(done);
      signal.addEventListener('abort', done);
    });
    signal.throwIfAborted();
  };

  const pickOther = async (via: string, now: number, signal: AbortSignal): Promise<PooledSession | undefined> => {
    const { ranking, list } = routes;
    const next = ranking.order(list, now).find((route) => route.via !== via && !ranking.isPenalized(route.via, now));
    if (next === undefined) return undefined;
    if (!pool.isUp(next.via)) {
      upkeep.sparesWanted.add(next.via);
      decide();
    }
    while (!pool.isUp(next.via) && upkeep.sparesWanted.has(next.via) && !ended.aborted) await change(signal);
    return pool.pickVia(next.via);
  };

  return {
    pick: (avoid) => pool.pick(avoid),
    pickVia: (via) => pool.pickVia(via),
    pickOther,
    wait: decide,
    whyNot: () => {
      if (ended.aborted) return new TunnelError('NotConnected', 'the tunnel is stopping');
      if (pool.usable().length > 0) {
        return new TunnelError('ConnectionLimit', 'every session carries its maximum of streams: add replicas');
      }
      const via = routes.list[0]?.via ?? 'the bastion';
      return routes.error ?? new TunnelError('NotConnected', `there is no session to ${via} yet`);
    },
    isHopeless: () => ended.aborted || (pool.usable().length === 0 && routes.hopeless),
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
