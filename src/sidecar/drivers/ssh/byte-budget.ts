// The one number that bounds what all streams of a pod may hold: bytes that bastions were allowed to send (windows) and bytes that
// wait in memory for a slow side. Neighbours: inbound-window.ts spends it on windows, channel-stream.ts on parked writes.

/** Bytes that all buffers of a pod may hold together (DESIGN promise 10). */
export const podBufferBytes = 64 * 1024 * 1024;

/** A count of bytes in use out of a fixed total. It may be overdrawn by the small minimum that keeps each stream moving. */
export class ByteBudget {
  readonly total: number;
  #used = 0;

  constructor(total: number = podBufferBytes) {
    this.total = total;
  }

  get used(): number {
    return this.#used;
  }

  /** Bytes left; never negative. */
  get free(): number {
    return Math.max(0, this.total - this.#used);
  }

  take(bytes: number): void {
    this.#used += bytes;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }
}
