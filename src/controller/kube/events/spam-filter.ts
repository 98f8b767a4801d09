// Keeps one noisy object from flooding the API server with Events: client-go's numbers, 25 at once per object, then one
// every five minutes.
import type { Clock } from '../../../process/clock.ts';
import { TokenBucket } from '../base/token-bucket.ts';

/** Objects remembered; the least recently heard of is forgotten, and may then speak again. */
const maxObjects = 4_096;

export class SpamFilter {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether another event about `object` may pass. */
  allows(object: string): boolean {
    const bucket = this.#buckets.get(object) ?? new TokenBucket({ perSecond: 1 / 300, burst: 25, clock: this.#clock });
    this.#buckets.delete(object);
    this.#buckets.set(object, bucket);
    if (this.#buckets.size > maxObjects) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return bucket.tryTake();
  }
}
