// What is known of one destination, from the results of probes and of clients' dials. It has no timers.
// Neighbours: health.ts records the results, status.ts reports them, readiness may depend on them.
import type { TunnelError } from '../../contract/errors.ts';

export class Reachability {
  readonly #failureThreshold: number;
  #reachable: boolean | undefined;
  #failure: TunnelError | undefined;
  #failuresInARow = 0;

  /** `failureThreshold`: this many failures in a row make a destination unreachable that was reachable. */
  constructor(failureThreshold: number) {
    this.#failureThreshold = failureThreshold;
  }

  /** Undefined before the first result. */
  get reachable(): boolean | undefined {
    return this.#reachable;
  }

  /** Why it is not reachable. */
  get failure(): TunnelError | undefined {
    return this.#reachable === false ? this.#failure : undefined;
  }

  /** A success counts at once, and so does the very first result; later failures count once there are enough in a row. Returns whether `reachable` changed. */
  record(failure: TunnelError | undefined): boolean {
    const before = this.#reachable;
    if (failure === undefined) {
      this.#failuresInARow = 0;
      this.#reachable = true;
    } else {
      this.#failuresInARow += 1;
      this.#failure = failure;
      if (before !== true || this.#failuresInARow >= this.#failureThreshold) this.#reachable = false;
    }
    return this.#reachable !== before;
  }

  /** Nothing is known any more: an idle tunnel probes nothing. */
  forget(): void {
    this.#reachable = undefined;
    this.#failure = undefined;
    this.#failuresInARow = 0;
  }
}
