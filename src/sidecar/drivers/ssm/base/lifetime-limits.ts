// How long a session may live before the service ends it: the account's maximum duration, and its idle timeout for sessions that say nothing.
// AWS tells neither beforehand, so both are learned from sessions that were ended though their agent lived. Times in, times out: no I/O.
// Neighbours: driver.ts tells how sessions ended, renewing-channel.ts replaces them in time.

const minute = 60_000;
/** An age below this is no limit that an account would have, but an agent that ends again and again. */
const leastAgeMs = 2 * minute;
/** So much older than a learned limit a session has to become to disprove it. */
const doubtAgeMs = 2 * minute;
/** An account's idle timeout unless it was changed. */
const usualIdleMs = 20 * minute;

/** A session that the service ended although its agent lived. */
export interface Expiry {
  readonly ageMs: number;
  /** For how long we had sent it nothing; NOPs count as something, for the service too. */
  readonly idleMs: number;
}

export class LifetimeLimits {
  readonly #configuredMs: number | undefined;
  /** By target: preferences differ by account and region, and a target is in one of each. */
  readonly #ages = new Map<string, number>();
  readonly #idles = new Map<string, number>();

  /** `maxSessionMinutes` of the document; 0: to be learned. */
  constructor(maxSessionMinutes: number) {
    this.#configuredMs = maxSessionMinutes === 0 ? undefined : maxSessionMinutes * minute;
  }

  /** Takes the end of a session. The preferences are whole minutes, so what is learned is rounded down to one; an age of less than two says nothing. */
  expired(target: string, { ageMs, idleMs }: Expiry): void {
    const wasIdle = idleMs >= minute;
    const limit = Math.floor((wasIdle ? idleMs : ageMs) / minute) * minute;
    if (wasIdle) this.#idles.set(target, limit);
    else if (limit >= leastAgeMs) this.#ages.set(target, limit);
  }

  /** A session lived this long: a limit that it outlived was none, but somebody's hand. */
  lived(target: string, ageMs: number): void {
    if (ageMs >= (this.#ages.get(target) ?? Number.POSITIVE_INFINITY) + doubtAgeMs) this.#ages.delete(target);
  }

  /** How old a session should be let become, in milliseconds, so that a limit which was wrongly learned is disproved; 0 if none was learned. */
  disproofAgeMs(target: string): number {
    const age = this.#configuredMs === undefined ? this.#ages.get(target) : undefined;
    // A timer may be a moment early.
    return age === undefined ? 0 : age + doubtAgeMs + 1_000;
  }

  /** The life of a session to that target, in milliseconds; Infinity while no limit is known. `silent`: nothing is sent while it has no stream. */
  lifeMs(target: string, silent: boolean): number {
    const age = this.#configuredMs ?? this.#ages.get(target) ?? Number.POSITIVE_INFINITY;
    return silent ? Math.min(age, this.#idles.get(target) ?? usualIdleMs) : age;
  }
}
