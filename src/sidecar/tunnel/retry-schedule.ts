// When a route may be tried again: pure arithmetic over times that are passed in, so that five minutes of outage are tested in a millisecond.
// Neighbours: route-attempts.ts holds one for each route, and session-planner.ts asks it through there; tunnel.ts and trial.ts report failures and
// losses; routes.ts reports a new outage, and has one more for the query of the routes.
import type { Code, TunnelError } from '../../contract/errors.ts';

/** The first minutes of an outage are tried densely, because most outages end in them (docs/promises.md, promise 4). */
const denseMs = 5 * 60_000;
const dense = { minMs: 100, maxMs: 1_500 };
const sparse = { minMs: 1_500, maxMs: 15_000 };
/**
 * Limits of a rate: sshd's (MaxStartups, PerSourcePenalties) for everyone behind the same address, AWS's for the whole account. Trying
 * more often makes it worse for all of them.
 */
const rateLimits: ReadonlySet<Code> = new Set(['BastionRefusing', 'LoginInterrupted', 'Throttled']);
const rateLimitedMs = 5_000;
/** Credentials are refused that were accepted before: a bastion may ban an address that fails often, and pods share one; an API counts requests. */
const refusedNow: ReadonlySet<Code> = new Set(['LoginRefused', 'TokenExpired']);
const refusedFirstMs = 8_000;
const refusedLaterMs = 15_000;
/** Only a change by a person helps; the change of a mounted file is noticed without this timer. */
const permanentMs = 60_000;
/** While another session carries the clients there is no hurry. */
const calm = { minMs: 1_000, maxMs: 60_000 };
/** A session that lived this long was a success; one that dies sooner continues the schedule of the failure before it. */
export const provenLifeMs = 30_000;

export interface FailedAttempt {
  readonly startedAt: number;
  readonly now: number;
  /** Another session carries the clients meanwhile. */
  readonly otherSessionCarries: boolean;
}

/** The times at which one route may be tried. All times are milliseconds of one monotonic clock. */
export class RetrySchedule {
  readonly #random: () => number;
  #nextAt = 0;
  #failingSince: number | undefined;
  #delay = 0;
  /** An outage must not bring the next time forward (rate limits, permanent errors). */
  #firm = false;
  /** The attempt before was refused with credentials that had worked. */
  #isRefused = false;
  /** Only a missing twin or a better route waits for it. */
  #pausedUntil = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The earliest time for the next attempt. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** True after five minutes of failures: attempts are then up to 15 s apart. */
  isSparse(now: number): boolean {
    return this.#failingSince !== undefined && now - this.#failingSince >= denseMs;
  }

  /** An attempt failed. */
  failed(error: TunnelError, { startedAt, now, otherSessionCarries }: FailedAttempt): void {
    this.#failingSince ??= startedAt;
    const isRateLimited = rateLimits.has(error.code);
    this.#firm = error.permanent || isRateLimited;
    if (error.permanent) {
      this.#nextAt = now + permanentMs * (1 - 0.1 * this.#random());
      return;
    }
    if (refusedNow.has(error.code)) {
      const least = this.#isRefused ? refusedLaterMs : refusedFirstMs;
      this.#isRefused = true;
      this.#firm = true;
      this.#nextAt = now + least * (1 + 0.1 * this.#random());
      return;
    }
    this.#delay = this.#nextDelay(now, otherSessionCarries);
    // Counted from the start of the attempt, so that one that waited ten seconds without success is followed at once.
    const planned = Math.max(startedAt + this.#delay, now + dense.minMs);
    const floor = isRateLimited ? now + rateLimitedMs * (1 + 0.2 * this.#random()) : 0;
    this.#nextAt = Math.max(planned, floor);
  }

  /** A session of this route ended after `livedMs`. One that lived long starts a fresh schedule with a short first delay. */
  lost(error: TunnelError, livedMs: number, now: number, otherSessionCarries: boolean): void {
    if (livedMs >= provenLifeMs) this.reset();
    this.failed(error, { startedAt: now, now, otherSessionCarries });
  }

  /** As `nextAt`, while another session carries the clients: also after the pause that follows a session opened in vain. */
  get nextAtWithoutHurry(): number {
    return Math.max(this.#nextAt, this.#pausedUntil);
  }

  /** A session was opened and not used: whatever asked for it must not ask again without a pause. */
  unneeded(now: number): void {
    this.#pausedUntil = now + calm.minMs;
  }

  /** A session fell silent: another is opened at once (docs/promises.md, promise 4). */
  endPause(): void {
    this.#pausedUntil = 0;
  }

  /** The last session is gone after it had lived well: nothing is left of earlier failures. Rate limits and permanent errors keep their times. */
  startNewOutage(now: number): void {
    if (this.#isHeldBack(now)) return;
    this.#failingSince = undefined;
    this.#delay = 0;
    this.#nextAt = Math.min(this.#nextAt, now + this.#between(dense.minMs, 3 * dense.minMs));
  }

  /**
   * The last session is gone soon after its opening: the outage before it goes on, without the delays that were long only because
   * another session carried the clients. It starts no new outage, or a flapping bastion would be tried densely forever.
   */
  expedite(now: number): void {
    if (this.#isHeldBack(now) || this.isSparse(now)) return;
    this.#nextAt = Math.min(this.#nextAt, now + this.#between(dense.maxMs / 3, dense.maxMs));
  }

  /** Credentials changed, or the last session lived long: nothing is left of earlier failures, and the next attempt may start at once. */
  reset(): void {
    this.#nextAt = 0;
    this.#pausedUntil = 0;
    this.#failingSince = undefined;
    this.#delay = 0;
    this.#firm = false;
    this.#isRefused = false;
  }

  #isHeldBack(now: number): boolean {
    return this.#firm && this.#nextAt > now;
  }

  /** Decorrelated jitter: each delay lies between the minimum and three times the one before, so that pods which fail together spread out. */
  #nextDelay(now: number, otherSessionCarries: boolean): number {
    const { minMs, maxMs } = otherSessionCarries ? calm : this.isSparse(now) ? sparse : dense;
    const upper = Math.min(maxMs, 3 * Math.max(minMs, this.#delay));
    return this.#between(minMs, upper);
  }

  #between(low: number, high: number): number {
    return low + (high - low) * this.#random();
  }
}
