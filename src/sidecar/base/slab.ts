// Memory that takes many reads of one connection, one behind the other, and is used again: a fresh buffer for each read costs more than
// half of the tunnel's CPU time, because V8 answers such memory with collections of the whole heap (docs/benchmarks.md).
// Who passes a part of a slab on lends it: it is valid until the end of the turn of the event loop. Who needs it longer pins the slab.
// Neighbours: drivers/ssh/base/lent-reads.ts fills slabs, clients/one-way.ts pins what a slow client has not taken.
import type { Duplex } from 'node:stream';
import type { ByteBudget } from './byte-budget.ts';

const KiB = 1024;

/** Several ssh packets of 32 KiB. */
export const slabBytes = 256 * KiB;

/** A part of a slab keeps all of it, so pinned slabs are few: 8 MiB in a pod. Beyond that, bytes that have to wait are copied. */
const maxPinned = 32;

/** Free slabs that are kept for the next who needs one. */
const maxFree = 8;

const free: Buffer[] = [];
let pinnedSlabs = 0;
const slabs = new WeakMap<ArrayBufferLike, Slab>();

export class Slab {
  readonly bytes: Buffer;
  readonly #budget: ByteBudget;
  #pins = 0;
  #left = false;

  /** What is pinned counts against the budget. */
  constructor(budget: ByteBudget) {
    this.bytes = free.pop() ?? Buffer.allocUnsafeSlow(slabBytes);
    this.#budget = budget;
    slabs.set(this.bytes.buffer, this);
  }

  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** False if the pod's memory is scarce: then copy what has to wait. */
  get mayPin(): boolean {
    return (this.pinned || pinnedSlabs < maxPinned) && this.#budget.spare > slabBytes;
  }

  /** Its bytes stay as they are until `unpin`. */
  pin(): void {
    this.#pins += 1;
    if (this.#pins > 1) return;
    pinnedSlabs += 1;
    this.#budget.take(slabBytes);
  }

  unpin(): void {
    this.#pins -= 1;
    if (this.#pins > 0) return;
    pinnedSlabs -= 1;
    this.#budget.giveBack(slabBytes);
    this.#free();
  }

  /** Nobody fills it any more, and a turn of the event loop has passed since its last part was lent. */
  leave(): void {
    this.#left = true;
    this.#free();
  }

  #free(): void {
    if (!this.#left || this.pinned) return;
    slabs.delete(this.bytes.buffer);
    if (free.length < maxFree) free.push(this.bytes);
  }
}

/** The slab that the bytes are a part of; undefined if they stay as they are. */
export function slabOf(bytes: Uint8Array): Slab | undefined {
  return slabs.get(bytes.buffer);
}

/** Takes bytes of a slab: they are valid until the end of this turn, or while the slab is pinned. */
export type Borrower = (bytes: Buffer, slab: Slab) => void;

/** A stream that passes on what arrives, and sends what it is given, without a copy. */
export interface Lending {
  /** While the stream flows and holds nothing back, bytes of a slab go to the borrower and not to 'data', in order with those of 'data'. */
  lendTo(borrower: Borrower): void;
  /** Like `write`, for bytes that are valid only during the call: it copies what it cannot send at once. */
  writeLent(bytes: Buffer): boolean;
}

export function isLending(stream: Duplex): stream is Duplex & Lending {
  return 'lendTo' in stream && 'writeLent' in stream;
}
