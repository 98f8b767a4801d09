// How long to wait before the next attempt. Everything that retries takes its delays from here, so that jitter and cap mean the same
// everywhere.
// Neighbour: clock.ts waits for the delay.

export interface BackoffOptions {
  /** The first delay in milliseconds, before jitter. */
  readonly initialMs: number;
  /** No delay is ever longer, in milliseconds. */
  readonly maxMs: number;
  /** The share of a delay that is random, 0 to 1. Default: 0.5. */
  readonly jitter?: number;
  /** A source of numbers in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
}

/**
 * The delay in milliseconds before attempt `attempt` (0 = the first retry). It lies in `(1 - jitter) × d … d` where
 * `d = min(maxMs, initialMs × 2^attempt)`: never over the cap, and still spread out at the cap.
 */
export function backoffDelay(attempt: number, options: BackoffOptions): number {
  const { initialMs, maxMs, jitter = 0.5, random = Math.random } = options;
  // 2 ** attempt becomes Infinity for a key that failed for days; min() brings it back to the cap.
  const full = Math.min(maxMs, initialMs * 2 ** attempt);
  return full * (1 - jitter * random());
}

/** The delays of one retried thing: `next()` gives the delay before the next attempt in milliseconds, `reset()` follows a success. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  next(): number {
    return backoffDelay(this.#attempt++, this.#options);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
