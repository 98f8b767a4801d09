// Memory for the bytes of all streams, used again: a buffer of its own for each read and each frame is garbage that cost more than a third of a
// download's CPU time (docs/decisions/0013-bytes-of-ssh-are-lent.md).
// Neighbours: stream.ts copies into it, base/slab.ts has the rules of lending.
import type { ByteBudget } from '../../../base/byte-budget.ts';
import { Slab } from '../../../base/slab.ts';

/** A part of a slab. Nobody else writes to it in this turn of the event loop, nor while the slab is pinned. */
export interface Part {
  readonly bytes: Buffer;
  readonly slab: Slab;
}

export class FrameMemory {
  readonly #budget: ByteBudget;
  #slab: Slab | undefined;
  /** Filled before the present one: what was lent of it may still be used in this turn, so that it is free one slab later. */
  #previous: Slab | undefined;
  #filled = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** Undefined while the pod's memory is scarce: then copy into memory of its own. `length`: at most a slab. */
  take(length: number): Part | undefined {
    let slab = this.#slab;
    if (slab === undefined || slab.bytes.length - this.#filled < length) slab = this.#next();
    if (!slab.mayPin) return undefined;
    const bytes = slab.bytes.subarray(this.#filled, this.#filled + length);
    this.#filled += length;
    return { bytes, slab };
  }

  /** No stream is left. */
  close(): void {
    this.#previous?.leave();
    this.#slab?.leave();
    this.#previous = undefined;
    this.#slab = undefined;
  }

  #next(): Slab {
    const full = this.#slab;
    let next = this.#previous;
    if (next === undefined || next.pinned) {
      next?.leave();
      next = new Slab(this.#budget);
    }
    this.#previous = full;
    this.#slab = next;
    this.#filled = 0;
    return next;
  }
}
