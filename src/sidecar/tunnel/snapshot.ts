// The state of a tunnel at one moment. Neighbours: tunnel.ts takes it after every change, status.ts makes the document of /statusz from it.
import type { TunnelError } from '../../contract/errors.ts';
import type { Session } from '../base/driver.ts';
import type { PooledSession } from './session-pool.ts';

export interface TunnelSnapshot {
  readonly state: 'Idle' | 'Connecting' | 'Connected' | 'Failed';
  /** When `state` last changed. */
  readonly since: Date;
  /** The route whose session takes new connections, and its facts. */
  readonly via?: string;
  readonly facts?: Session['facts'];
  /** Why there is no session. */
  readonly error?: TunnelError;
}

/** The next snapshot: `best` stands for the tunnel if it has a session, `error` says why it has none. */
export function snapshotAfter(
  before: TunnelSnapshot,
  now: Date,
  best: PooledSession | undefined,
  isActive: boolean,
  error: TunnelError | undefined,
): TunnelSnapshot {
  const reached = (state: TunnelSnapshot['state']): Pick<TunnelSnapshot, 'state' | 'since'> => ({
    state,
    since: state === before.state ? before.since : now,
  });
  if (best !== undefined) return { ...reached('Connected'), via: best.via, facts: best.session.facts };
  if (!isActive) return reached('Idle');
  return error === undefined ? reached('Connecting') : { ...reached('Failed'), error };
}
