// The one number that bounds what all streams of a pod may hold in memory (docs/promises.md, promise 10).
// Neighbours: bridge.ts counts what waits for a slow side; drivers count their windows; the native engine counts its own buffers.

/** Bytes that all buffers of a pod may hold together. */
export const podBufferBytes = 64 * 1024 * 1024;

/** Counts the bytes in use out of a fixed total. The small minimum that keeps each stream moving may overdraw it. */
export class ByteBudget {
  readonly total: number;
  /** Bytes in use: those counted here, and those of the native engine, which reads both and writes the second one. */
  readonly cells = new Float64Array(2);

  constructor(total: number = podBufferBytes) {
    this.total = total;
  }

  get used(): number {
    return (this.cells[0] ?? 0) + (this.cells[1] ?? 0);
  }

  /** Bytes left; never negative. */
  get free(): number {
    return Math.max(0, this.total - this.used);
  }

  /** Bytes left for streams that want more than the minimum that keeps them moving: a quarter of the total is reserved for those minimums. */
  get spare(): number {
    return Math.max(0, this.free - this.total / 4);
  }

  take(bytes: number): void {
    this.cells[0] = (this.cells[0] ?? 0) + bytes;
  }

  giveBack(bytes: number): void {
    this.cells[0] = (this.cells[0] ?? 0) - bytes;
  }
}
