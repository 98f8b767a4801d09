// How long a destination waits after a failed try to open its data channel, or after the agent has ended it for the destination's sake.
// Neighbour: renewing-channel.ts.
import { TunnelError } from '../../../contract/errors.ts';
import { Backoff } from '../../../process/backoff.ts';
import { startSpacingMs } from './aws/start-pace.ts';

const retryPauses = { initialMs: 1_000, maxMs: 60_000 };
/** The agent cannot resolve the name or was refused: often only a person can fix it, and each try is a session of the account and a process on the node. */
const faultPauses = { initialMs: startSpacingMs, maxMs: 60_000, jitter: 0 };
/** The agent's policy refuses the address: only a person can fix it. */
const permanentFaultMs = 60_000;
/** A channel that lived this long shows that an earlier fault of the destination is over. */
const faultOverMs = 30_000;

export class RetryPause {
  readonly #retry: Backoff;
  readonly #fault = new Backoff(faultPauses);

  constructor(random: () => number) {
    this.#retry = new Backoff({ ...retryPauses, random });
  }

  /** When to try again, at the earliest 5 s after the failed try began. */
  nextAt(error: unknown, startedAt: number, now: number): number {
    return Math.max(now + this.#after(error), startedAt + startSpacingMs);
  }

  /** A channel was opened. */
  opened(): void {
    this.#retry.reset();
  }

  /** A channel ended at this age. */
  lived(ageMs: number): void {
    if (ageMs >= faultOverMs) this.#fault.reset();
  }

  #after(error: unknown): number {
    if (!(error instanceof TunnelError) || error.layer !== 'destination') return this.#retry.next();
    return error.permanent ? permanentFaultMs : this.#fault.next();
  }
}
