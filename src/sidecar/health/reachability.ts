// What is known of one destination, from the results of probes and of clients' dials. No timers: health.ts feeds it.
// Neighbours: status.ts prints it, readiness may depend on it.
import type { TunnelError } from '../../contract/errors.ts';

export class Reachability {
  readonly #failureThreshold: number;
  #reachable: boolean | undefined;
  #failure: TunnelError | undefined;
  #failuresInARow = 0;

  /** `failureThreshold`: so many failures in a row turn a success into unreachable. */
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

  /** A success counts at once, and so does the first result of all; later failures count once they are enough in a row. Returns whether it changed. */
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

  /** Nothing is known any more: an idle tunnel asks nobody. */
  forget(): void {
    this.#reachable = undefined;
    this.#failure = undefined;
    this.#failuresInARow = 0;
  }
}
