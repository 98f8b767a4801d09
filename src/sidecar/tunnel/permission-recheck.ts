// When a bastion prohibits a destination, sshd judges by what was configured when the session was authenticated: a permission that was
// given since shows only on a fresh session. So, at most once a minute, a fresh one is opened beside the working ones and asked for
// that destination alone; the others are replaced only if it is permitted by now.
// Neighbours: tunnel.ts opens and replaces, dialer.ts tells what was prohibited.
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Session } from '../base/driver.ts';
import type { PooledSession } from './session-pool.ts';

/** As often as other refusals that a person must fix (docs/promises.md, promise 4). */
const renewalMs = 60_000;

/** Whether, when and for which destination a fresh session is wanted. */
export class Renewal {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #wanted: { readonly forward: Forward; readonly generation: number } | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;

  /** `timeoutMs`: the limit of the one dial that decides. */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** The session's bastion prohibits the destination. True if a fresh session of that generation is to be opened now. */
  prohibited(entry: PooledSession, forward: Forward, generation: number): boolean {
    const now = this.#clock.now();
    const isDue = now - Math.max(entry.openedAt, this.#renewedAt) >= renewalMs;
    // A session as fresh as the wanted one that is live already was never asked: it came when there was no other.
    const isUnderWay = this.#wanted !== undefined && entry.generation < this.#wanted.generation;
    if (!isDue || isUnderWay || entry.role !== 'live') return false;
    this.#renewedAt = now;
    this.#wanted = { forward, generation };
    return true;
  }

  /** False if the session was opened for a destination that is still prohibited: then it replaces nothing. */
  async isWorthIt({ session, generation }: PooledSession): Promise<boolean> {
    const wanted = this.#wanted;
    if (wanted === undefined || generation < wanted.generation) return true;
    this.#wanted = undefined;
    const isPermitted = await this.#asks(session, wanted.forward);
    return isPermitted || generation > wanted.generation || session.signal.aborted;
  }

  /** Any answer but "prohibited" counts, because it would change what is told. */
  async #asks(session: Session, forward: Forward): Promise<boolean> {
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
