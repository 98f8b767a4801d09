// A soft limit on how often something happens: `burst` at once, then `perSecond`. Used for writes to the API server,
// and by the flow for rollouts.
import { type Clock, sleep, systemClock } from '../../../process/clock.ts';

export interface TokenBucketOptions {
  readonly perSecond: number;
  readonly burst: number;
  readonly clock?: Clock;
}

export class TokenBucket {
  readonly #options: TokenBucketOptions;
  readonly #clock: Clock;
  #tokens: number;
  #at: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#tokens = options.burst;
    this.#at = this.#clock.now();
  }

  /** Takes a token if one is there; otherwise takes none. */
  tryTake(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Milliseconds until `tryTake` will succeed, 0 if it would now. */
  waitMs(): number {
    this.#refill();
    return Math.max(0, ((1 - this.#tokens) / this.#options.perSecond) * 1_000);
  }

  /** Takes a token as soon as one is there, first come first served, and resolves with the milliseconds it waited. Rejects with the signal's reason. */
  async take(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    this.#refill();
    // Debt keeps the order: each waiter books its token now and only sleeps until it is due.
    const due = Math.max(0, ((1 - this.#tokens) / this.#options.perSecond) * 1_000);
    this.#tokens -= 1;
    if (due === 0) return 0;
    try {
      await sleep(due, { signal, clock: this.#clock });
    } catch (error) {
      this.#tokens += 1;
      throw error;
    }
    return due;
  }

  #refill(): void {
    const now = this.#clock.now();
    const { perSecond, burst } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) / 1_000) * perSecond);
    this.#at = now;
  }
}
