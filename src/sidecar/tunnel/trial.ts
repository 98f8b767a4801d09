// A fresh session that may replace working ones: it takes their place once it has carried a dial, and is ended when it carries none.
// Neighbours: tunnel.ts opens it, permission-recheck.ts and prove.ts test it, session-planner.ts promotes it.
import type { PermissionRecheck } from './permission-recheck.ts';
import { prove } from './prove.ts';
import { asTunnelError } from './route-attempts.ts';
import type { Routes } from './routes.ts';
import type { PooledSession, SessionPool } from './session-pool.ts';
import type { TunnelOptions } from './tunnel-options.ts';

export interface TrialOptions extends Pick<TunnelOptions, 'forwards' | 'connectTimeoutMs' | 'clock' | 'log'> {
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly recheck: PermissionRecheck;
}

/** Resolves when it is decided; never rejects. One that carries the clients by now, because all others were lost, stays in any case. */
export async function judgeTrial(entry: PooledSession, options: TrialOptions): Promise<void> {
  const { forwards, connectTimeoutMs, clock, log, pool, routes, recheck } = options;
  pool.carry(entry);
  try {
    if (!(await recheck.shouldReplace(entry)) && entry.role === 'trial') {
      // A generation is never taken back: another session may have it already, and would never count as fresh again.
      pool.carryOverGeneration(entry.credentialsGeneration - 1);
      pool.end(entry);
      return;
    }
    await prove(entry.session, forwards, { clock, timeoutMs: connectTimeoutMs });
    pool.answered(entry);
  } catch (cause) {
    // Session loss is already handled by the pool's onLost.
    if (entry.session.signal.aborted || entry.role !== 'trial') return;
    const error = asTunnelError(cause, entry.via);
    log.info(
      { via: entry.via, reason: error.code, message: error.message },
      'the new session carries no dial and is not used',
    );
    const now = clock.now();
    routes.ranking.failed(entry.via, now);
    routes.get(entry.via)?.schedule.failed(error, { startedAt: entry.openedAt, now, otherSessionCarries: true });
    pool.end(entry);
  } finally {
    pool.release(entry);
  }
}
