// When a route may be tried again: pure arithmetic over times that are passed in, so that five minutes of outage are tested in a millisecond.
// Neighbours: route-attempts.ts asks it before each attempt; tunnel.ts tells it when an outage begins or credentials changed.
import type { Code, TunnelError } from '../../contract/errors.ts';

/** The first minutes of an outage are tried densely, because most outages end in them (docs/promises.md, promise 4). */
const denseMs = 5 * 60_000;
const dense = { minMs: 100, maxMs: 1_500 };
const sparse = { minMs: 1_500, maxMs: 15_000 };
/**
 * Limits of a rate: sshd's (MaxStartups, PerSourcePenalties) for everyone behind the same address, AWS's for the whole account. Hurrying
 * makes it worse for all of them.
 */
const rateLimits: ReadonlySet<Code> = new Set(['BastionRefusing', 'Throttled']);
const rateLimitedMs = 5_000;
/** Nothing but a change by a person helps; the change of a mounted file is noticed without this timer. */
const permanentMs = 60_000;
/** While another session carries the clients there is no hurry. */
const calm = { minMs: 1_000, maxMs: 60_000 };
/** A session that lived this long was a success; one that dies sooner continues the schedule of the failure before it. */
export const provenLifeMs = 30_000;

/** The times at which one route may be tried. All times are milliseconds of one monotonic clock. */
export class RetrySchedule {
  readonly #random: () => number;
  #nextAt = 0;
  #failingSince: number | undefined;
  #delay = 0;
  /** The next time is a floor that an outage must not bring forward (throttling, permanent errors). */
  #firm = false;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The earliest time for the next attempt. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** True after five minutes of failures: attempts are then at most 15 s apart, no longer dense. */
  isSparse(now: number): boolean {
    return this.#failingSince !== undefined && now - this.#failingSince >= denseMs;
  }

  /** An attempt that began at `startedAt` failed. `inCalm`: another session carries the clients meanwhile. */
  failed(error: TunnelError, startedAt: number, now: number, inCalm = false): void {
    this.#failingSince ??= startedAt;
    const isRateLimited = rateLimits.has(error.code);
    this.#firm = error.permanent || isRateLimited;
    if (error.permanent) {
      this.#nextAt = now + permanentMs * (1 - 0.1 * this.#random());
      return;
    }
    this.#delay = this.#nextDelay(now, inCalm);
    // Counted from the start of the attempt, so that one that waited ten seconds for nothing is followed at once.
    const planned = Math.max(startedAt + this.#delay, now + dense.minMs);
    const floor = isRateLimited ? now + rateLimitedMs * (1 + 0.2 * this.#random()) : 0;
    this.#nextAt = Math.max(planned, floor);
  }

  /** A session of this route ended after `livedMs`. One that lived long starts a fresh schedule with a short first delay. */
  lost(error: TunnelError, livedMs: number, now: number, inCalm = false): void {
    if (livedMs >= provenLifeMs) this.reset();
    this.failed(error, now, now, inCalm);
  }

  /**
   * The last session is gone, and with it the reason not to hurry; throttling and permanent errors keep their times. `fresh`: it
   * had lived well, so a new outage begins; else a flapping bastion would be tried densely for ever.
   */
  hurry(now: number, fresh: boolean): void {
    if (this.#firm && this.#nextAt > now) return;
    if (fresh) {
      this.#failingSince = undefined;
      this.#delay = 0;
      this.#nextAt = Math.min(this.#nextAt, now + this.#between(dense.minMs, 3 * dense.minMs));
    } else if (!this.isSparse(now)) {
      this.#nextAt = Math.min(this.#nextAt, now + this.#between(dense.maxMs / 3, dense.maxMs));
    }
  }

  /** Credentials changed, or all is well: the next attempt may start at once. */
  reset(): void {
    this.#nextAt = 0;
    this.#failingSince = undefined;
    this.#delay = 0;
    this.#firm = false;
  }

  /** Decorrelated jitter: each delay lies between the minimum and three times the one before, so that pods which fail together part. */
  #nextDelay(now: number, inCalm: boolean): number {
    const { minMs, maxMs } = inCalm ? calm : this.isSparse(now) ? sparse : dense;
    const upper = Math.min(maxMs, 3 * Math.max(minMs, this.#delay));
    return this.#between(minMs, upper);
  }

  #between(low: number, high: number): number {
    return low + (high - low) * this.#random();
  }
}
