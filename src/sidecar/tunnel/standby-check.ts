// When a route that is not in use is logged in to, only to know whether it would work: a bastion that nobody uses may have lost its key, its
// host key or its disk weeks before it is needed.
// Neighbours: session-planner.ts starts the check when it is due, tunnel.ts ends its session at once and reports the result.

/** Every standby of every pod is logged in to this often; jittered, so that pods do not come together. */
const everyMs = 10 * 60_000;
/** The first check of a route, so that a new tunnel soon knows all of them. */
const firstMs = 10_000;
/** A route in use that refuses what the Secret holds now: a person may be repairing it on the bastion, which no file here shows. */
const refusedMs = 60_000;

export class StandbyCheck {
  readonly #random: () => number;
  #nextAt: number;

  constructor(now: number, random: () => number = Math.random) {
    this.#random = random;
    this.#nextAt = now + firstMs * (0.5 + random());
  }

  get nextAt(): number {
    return this.#nextAt;
  }

  /** An attempt over the route has ended, by whomever it was wanted. `isRefused`: it worked only with an earlier content of the Secret. */
  done(now: number, isRefused = false): void {
    this.#nextAt = now + (isRefused ? refusedMs : everyMs) * (0.9 + 0.2 * this.#random());
  }

  /** The credentials changed: what is known of the route is of the old ones. */
  makeDue(): void {
    this.#nextAt = Number.NEGATIVE_INFINITY;
  }
}
