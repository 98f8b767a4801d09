// How many bytes the far side may send on one channel before we have consumed some (RFC 4254 §5.2). ssh2's fixed 2 MiB, adjusted at one
// half, reaches 0.4 × the speed of `ssh -L` over 20 ms; this window is topped up early and follows the length of the way, need and budget.
// No I/O and no clock: channel-stream.ts sends the adjustments that it returns. Neighbours: round-trip.ts, base/byte-budget.ts.
import type { ByteBudget } from '../../../base/byte-budget.ts';

const KiB = 1024;

/** Granted to every channel, whatever the budget: less would stop it. For 1,000 channels this is a quarter of the budget. */
export const minWindowBytes = 16 * KiB;

/** 8 MiB carry 160 MB/s over 50 ms; larger windows had two very different speeds when measured. */
export const maxWindowBytes = 8 * 1024 * KiB;

/** Enough near by. With more, sshd spends its CPU inside its own buffer: 7.7 s per GiB of 8 downloads with 8 MiB, 1.5 with this. */
export const nearWindowBytes = 512 * KiB;

/** Larger grants save nothing near by. A download with a tenth of the window at a time cost a tenth more CPU. */
const nearStepBytes = 256 * KiB;

/** `ssh -L`'s own: for a far side that does not say how far away it is. */
const unknownWindowBytes = 2 * 1024 * KiB;

/** What one stream may carry: 160 MB/s. */
const bytesPerMs = 160_000;

/** The window that a stream at full speed needs over a way of this round trip: twice what is on the way, so that no grant comes late. */
export function windowFor(roundTripMs: number | undefined): number {
  if (roundTripMs === undefined) return unknownWindowBytes;
  return Math.min(maxWindowBytes, Math.max(nearWindowBytes, Math.ceil(2 * roundTripMs * bytesPerMs)));
}

/** A window that is used up within this time is too small, for round trips of up to this long. */
const growWithinMs = 1000;

export class InboundWindow {
  readonly #budget: ByteBudget;
  readonly #roundTripMs: () => number | undefined;
  /** Bytes that the far side may still send. */
  #granted = 0;
  /** Bytes received, but not yet consumed by the local side. */
  #buffered = 0;
  #target: number;
  #consumedOfWindow = 0;
  #windowBegan: number;
  #released = false;

  /** `now` in milliseconds of a monotonic clock; `roundTripMs` as known when it is asked. Takes the initial window from the budget at once. */
  constructor(budget: ByteBudget, now: number, roundTripMs: () => number | undefined) {
    this.#budget = budget;
    this.#roundTripMs = roundTripMs;
    this.#windowBegan = now;
    const share = budget.free / budget.total;
    this.#target = share > 0.75 ? 8 * minWindowBytes : share > 0.5 ? 4 * minWindowBytes : minWindowBytes;
    this.#grant(this.#target);
  }

  get granted(): number {
    return this.#granted;
  }

  /** False if the far side sent more than it may: a protocol error, after which nothing bounds its bytes (ssh2 issue 1505). */
  received(bytes: number): boolean {
    if (bytes > this.#granted) return false;
    this.#granted -= bytes;
    this.#buffered += bytes;
    return true;
  }

  /** The local side consumed bytes. Returns the window adjustment to send now, 0 for none. */
  consumed(bytes: number, now: number): number {
    if (this.#released) return 0;
    this.#buffered -= bytes;
    this.#budget.giveBack(bytes);
    this.#followNeed(bytes, now);
    const held = this.#granted + this.#buffered;
    const wanted = this.#target - held;
    // At most a quarter of the spare budget: later busy streams get less than earlier ones, but none takes all.
    const allowed = Math.max(this.#budget.spare / 4, minWindowBytes - held);
    const bytesToGrant = Math.floor(Math.min(wanted, allowed));
    if (bytesToGrant <= 0) return 0;
    // A distant far side is never kept waiting: a tenth at a time. Near by each grant wakes it up: a quarter of a small window.
    const step = Math.max(this.#target / 10, Math.min(this.#target / 4, nearStepBytes));
    if (bytesToGrant < step && this.#granted > minWindowBytes / 2) return 0;
    this.#grant(bytesToGrant);
    return bytesToGrant;
  }

  /** Gives everything back to the budget; call it when the channel is gone. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#budget.giveBack(this.#granted + this.#buffered);
    this.#granted = 0;
    this.#buffered = 0;
  }

  #grant(bytes: number): void {
    this.#granted += bytes;
    this.#budget.take(bytes);
  }

  #followNeed(bytes: number, now: number): void {
    this.#consumedOfWindow += bytes;
    if (this.#consumedOfWindow < this.#target) return;
    // A slow reader keeps its buffer full; a larger window would only fill more memory.
    if (now - this.#windowBegan < growWithinMs && this.#buffered < this.#target / 2) this.#grow();
    this.#consumedOfWindow = 0;
    this.#windowBegan = now;
  }

  /** At once to what the way needs; by doubling once much memory is taken, so that a short burst does not take what is left. */
  #grow(): void {
    const isPlentiful = this.#budget.spare > this.#budget.total / 2;
    const needed = windowFor(this.#roundTripMs());
    this.#target = isPlentiful ? needed : Math.min(needed, this.#target * 2);
  }
}
