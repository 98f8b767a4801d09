// How long to wait before trying again.
// Everything that retries (the Kubernetes transport, reflectors, the work queue, tunnels) takes its delays from here,
// so that jitter and cap mean the same everywhere.

export interface BackoffOptions {
  /** The first delay in milliseconds, before jitter. */
  readonly initialMs: number;
  /** No delay is ever longer, in milliseconds. */
  readonly maxMs: number;
  /** Each delay is this times the one before; 2 unless told. */
  readonly factor?: number;
  /** The share of a delay that is random, 0 to 1; 0.5 unless told. */
  readonly jitter?: number;
  /** A source of numbers in [0, 1); `Math.random` unless told. */
  readonly random?: () => number;
}

/**
 * The delay in milliseconds before attempt `attempt` (0 = the first retry). It lies in `(1 - jitter) × d … d` where
 * `d = min(maxMs, initialMs × factor^attempt)`: never over the cap, and still spread out at the cap.
 */
export function backoffDelay(attempt: number, options: BackoffOptions): number {
  const { initialMs, maxMs, factor = 2, jitter = 0.5, random = Math.random } = options;
  // factor ** attempt overflows to Infinity for a key that failed for days; min() brings it back to the cap.
  const full = Math.min(maxMs, initialMs * factor ** attempt);
  return full * (1 - jitter * random());
}

/** Counts the attempts of one retried thing. `next()` gives the delay before the next attempt, `reset()` follows a success. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Delays handed out since the last reset. */
  get attempts(): number {
    return this.#attempt;
  }

  next(): number {
    return backoffDelay(this.#attempt++, this.#options);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
