// How long a data channel may live before the service ends it: the account's maximum session duration, and its idle timeout for channels that
// send nothing. AWS does not say either beforehand, so both are learned from channels that were ended although their agent lived. Times in,
// times out: no I/O. Neighbours: channel-opener.ts reports how channels ended, renewing-channel.ts replaces them in time.

const minute = 60_000;
/** A younger age is not an account's limit, but an agent that ends again and again. */
const leastAgeMs = 2 * minute;
/** A channel disproves a learned limit by becoming this much older. */
const doubtAgeMs = 2 * minute;
/** AWS's default of an account's idle timeout. */
const usualIdleMs = 20 * minute;

/** The end of a channel that the service ended although its agent lived. */
export interface Expiry {
  readonly ageMs: number;
  /** How long we had sent nothing; a NOP counts as something, for the service too. */
  readonly idleMs: number;
}

export class LifetimeLimits {
  readonly #configuredMs: number | undefined;
  /** By node: preferences differ by account and region, and a node is in one of each. */
  readonly #ages = new Map<string, number>();
  readonly #idles = new Map<string, number>();

  /** `maxSessionMinutes` of the document; 0: learned. */
  constructor(maxSessionMinutes: number) {
    this.#configuredMs = maxSessionMinutes === 0 ? undefined : maxSessionMinutes * minute;
  }

  /** Learns from the end of a channel. The preferences are whole minutes, so it rounds down; an age below two minutes teaches nothing. */
  expired(target: string, { ageMs, idleMs }: Expiry): void {
    const wasIdle = idleMs >= minute;
    const limit = Math.floor((wasIdle ? idleMs : ageMs) / minute) * minute;
    if (wasIdle) this.#idles.set(target, limit);
    else if (limit >= leastAgeMs) this.#ages.set(target, limit);
  }

  /** A channel lived this long: a learned limit that it outlived was none; a person had ended the earlier channel. */
  lived(target: string, ageMs: number): void {
    if (ageMs >= (this.#ages.get(target) ?? Number.POSITIVE_INFINITY) + doubtAgeMs) this.#ages.delete(target);
  }

  /** The age, in milliseconds, at which a channel disproves a wrongly learned limit; 0 if none was learned. */
  disproofAgeMs(target: string): number {
    const age = this.#configuredMs === undefined ? this.#ages.get(target) : undefined;
    // A timer may be a moment early.
    return age === undefined ? 0 : age + doubtAgeMs + 1_000;
  }

  /** How long a channel to that node may live, in milliseconds; Infinity while no limit is known. `silent`: nothing is sent while it has no stream. */
  lifeMs(target: string, silent: boolean): number {
    const age = this.#configuredMs ?? this.#ages.get(target) ?? Number.POSITIVE_INFINITY;
    return silent ? Math.min(age, this.#idles.get(target) ?? usualIdleMs) : age;
  }
}
