// How long an acknowledgement takes, and so how long to wait for it before the message is sent again (RFC 6298 with the constants of AWS's
// plugin and agent). No I/O, no clock: samples in, milliseconds out. Neighbour: reliable.ts.

const granularity = 10;
const minTimeout = 100;
const maxTimeout = 1_000;
const minimumAge = 10_000;

export class RoundTrip {
  #smoothed = 100;
  #variation = 0;
  #timeout = 200;
  #recentMinimum = Number.POSITIVE_INFINITY;
  #olderMinimum = Number.POSITIVE_INFINITY;
  #minimumSince = 0;

  /** Takes the time between the sending of a message and its acknowledgement. Not of a repeated message: nobody knows which sending was answered. */
  sample(ms: number, now: number): void {
    this.#variation = 0.75 * this.#variation + 0.25 * Math.abs(this.#smoothed - ms);
    this.#smoothed = 0.875 * this.#smoothed + 0.125 * ms;
    const timeout = this.#smoothed + Math.max(granularity, 4 * this.#variation);
    this.#timeout = Math.max(minTimeout, Math.min(maxTimeout, timeout));
    if (now - this.#minimumSince >= minimumAge) {
      this.#olderMinimum = this.#recentMinimum;
      this.#recentMinimum = ms;
      this.#minimumSince = now;
    } else if (ms < this.#recentMinimum) this.#recentMinimum = ms;
  }

  /** A message was not acknowledged in time: the next wait is twice as long, until there is a new sample. */
  backOff(): void {
    this.#timeout = Math.min(maxTimeout, 2 * this.#timeout);
  }

  /** How long to wait for an acknowledgement: 100 ms to 1 s. */
  get timeoutMs(): number {
    return this.#timeout;
  }

  get smoothedMs(): number {
    return this.#smoothed;
  }

  /** The shortest of the last 10 to 20 s: the time of the path without queues. Undefined until the first sample. */
  get shortestMs(): number | undefined {
    const shortest = Math.min(this.#recentMinimum, this.#olderMinimum);
    return Number.isFinite(shortest) ? shortest : undefined;
  }
}
