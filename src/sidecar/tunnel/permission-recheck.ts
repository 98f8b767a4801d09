// sshd decides which destinations a session may reach when the session is authenticated: a permission that was given later shows only on
// a fresh session. So, at most once a minute, a fresh one is opened beside the working ones and asked for the prohibited destination
// alone; the others are replaced only if it is permitted by now.
// Neighbours: tunnel.ts asks for the fresh session, trial.ts has it judged, dialer.ts reports what was prohibited.
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Session } from '../base/driver.ts';
import type { PooledSession } from './session-pool.ts';

/** As often as other refusals that a person must fix (docs/promises.md, promise 4). */
const recheckMs = 60_000;

/** Whether, when and for which destination a fresh session is wanted. */
export class PermissionRecheck {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #wanted: { readonly forward: Forward; readonly credentialsGeneration: number } | undefined;
  #recheckedAt = Number.NEGATIVE_INFINITY;

  /** `timeoutMs`: the limit of the one dial that decides. */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** The session's bastion prohibits the destination. True if a fresh session is wanted now, which will have that generation. */
  begin(entry: PooledSession, forward: Forward, credentialsGeneration: number): boolean {
    const now = this.#clock.now();
    const isDue = now - Math.max(entry.openedAt, this.#recheckedAt) >= recheckMs;
    // A live session as new as the requested one was never tested: it was promoted because no other existed.
    const isUnderWay = this.#wanted !== undefined && entry.credentialsGeneration < this.#wanted.credentialsGeneration;
    if (!isDue || isUnderWay || entry.role !== 'live') return false;
    this.#recheckedAt = now;
    this.#wanted = { forward, credentialsGeneration };
    return true;
  }

  /** False if the session was opened for a destination that is still prohibited: then it replaces nothing. */
  async shouldReplace({ session, credentialsGeneration }: PooledSession): Promise<boolean> {
    const wanted = this.#wanted;
    if (wanted === undefined || credentialsGeneration < wanted.credentialsGeneration) return true;
    this.#wanted = undefined;
    const isPermitted = await this.#isPermitted(session, wanted.forward);
    return isPermitted || credentialsGeneration > wanted.credentialsGeneration || session.signal.aborted;
  }

  /** Any answer but "prohibited" counts, because it would change what clients are told. */
  async #isPermitted(session: Session, forward: Forward): Promise<boolean> {
    const late = (): TunnelError => new TunnelError('DestinationTimeout', 'no answer');
    using limit = deadline(this.#timeoutMs, { signal: session.signal, clock: this.#clock, reason: late });
    try {
      const stream = await session.dial(forward.destination, { signal: limit.signal });
      stream.on('error', () => undefined);
      stream.destroy();
      return true;
    } catch (error) {
      return !(error instanceof TunnelError && error.code === 'ForwardingProhibited');
    }
  }
}
