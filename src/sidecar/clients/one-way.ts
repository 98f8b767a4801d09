// One direction of a connection: passes chunks on as they arrive, unchanged and in order, and stops reading while the other side is slow.
// What waits for a slow side is counted against the pod's byte budget.
// Neighbours: bridge.ts has one for each direction, base/slab.ts is the memory of chunks that a session lends.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ByteBudget } from '../base/byte-budget.ts';
import { isLending, type Lending, type Slab } from '../base/slab.ts';
import { takeReads } from './client-reads.ts';

interface OneWayObserver {
  /** Called before the chunk is passed on, or dropped because nobody takes it. */
  onChunk(chunk: Buffer): void;
  onCarried(bytes: number): void;
}

/** One direction, until `from` ends. Both sides stay the caller's to end after a break. */
export class OneWay {
  bytes = 0;
  readonly #from: Duplex;
  readonly #to: Duplex;
  readonly #budget: ByteBudget;
  readonly #observer: OneWayObserver;
  /** Bytes that wait at `to` and are counted against the budget. */
  #counted = 0;
  #corked = false;
  #stopped = false;
  /** The slab of bytes that were written in this turn, and those of bytes that wait at `to`, pinned for it. */
  #lent: Slab | undefined;
  #pinned: Slab[] | undefined;

  constructor(from: Duplex, to: Duplex, budget: ByteBudget, observer: OneWayObserver) {
    this.#observer = observer;
    this.#from = from;
    this.#to = to;
    this.#budget = budget;
  }

  start(): void {
    const from = this.#from;
    const to = this.#to;
    if (isLending(from)) from.lendTo(this.#onLent);
    if (isLending(to) && from instanceof Socket) takeReads(from, (bytes) => this.#onRead(bytes, from, to));
    this.#from.on('data', this.#onData);
    this.#from.once('end', this.#onEnd);
    this.#to.on('drain', this.#onDrain);
    this.#from.resume();
  }

  stop(): void {
    this.#stopped = true;
    this.#from.off('data', this.#onData);
    this.#from.off('end', this.#onEnd);
    this.#to.off('drain', this.#onDrain);
    this.#count(0);
    this.#lent = undefined;
    this.#unpin();
  }

  /** The destination takes no more: whatever still arrives is read and dropped. */
  discard(): void {
    this.stop();
    this.#from.on('data', () => undefined);
    this.#from.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    const to = this.#to;
    if (!this.#take(chunk)) return;
    if (this.#budget.spare > 0) {
      // False: the buffer is full, which is enough for one system call. A source that never lets the turn end would otherwise fill it
      // without limit.
      if (!to.write(chunk)) this.#uncork();
    } else {
      // The pod's memory is scarce: nothing more is read before this chunk has left.
      this.#from.pause();
      to.write(chunk, this.#onDrain);
    }
  };

  /** Bytes that stay as they are only until the end of this turn, or while their slab is pinned. */
  readonly #onLent = (chunk: Buffer, slab: Slab): void => {
    if (this.#stopped) return;
    if (this.#lent !== slab) this.#uncork();
    if (!this.#take(chunk)) return;
    this.#lent = slab;
    if (!this.#to.write(chunk, this.#onWritten)) this.#uncork();
  };

  /** Bytes that are valid only during the call. */
  #onRead(bytes: Buffer, from: Socket, to: Lending): void {
    if (this.#stopped) from.push(Buffer.from(bytes));
    else if (this.#budget.spare === 0) this.#onData(Buffer.from(bytes));
    else if (this.#accept(bytes) && !to.writeLent(bytes)) {
      from.pause();
      this.#count(this.#to.writableLength);
    }
  }

  /** Counts the chunk and corks `to`; false if nobody takes it. */
  #take(chunk: Buffer): boolean {
    if (!this.#accept(chunk)) return false;
    if (!this.#corked) {
      // Sends the chunks of one turn in one system call.
      this.#corked = true;
      this.#to.cork();
      process.nextTick(this.#uncork);
    }
    return true;
  }

  /** Counts the chunk; false if nobody takes it. */
  #accept(chunk: Buffer): boolean {
    const to = this.#to;
    this.#observer.onChunk(chunk);
    if (to.destroyed || to.writableEnded) {
      // Its 'close' event ends the bridge; until then nothing more is read for it.
      this.#from.pause();
      return false;
    }
    this.bytes += chunk.length;
    this.#observer.onCarried(chunk.length);
    return true;
  }

  readonly #uncork = (): void => {
    if (!this.#corked) return;
    this.#corked = false;
    this.#to.uncork();
    if (this.#to.writableLength > 0) this.#pin();
    this.#lent = undefined;
    if (this.#to.writableLength === 0) return;
    if (this.#to.writableNeedDrain) this.#from.pause();
    if (this.#from.isPaused()) this.#count(this.#to.writableLength);
  };

  /** What the kernel did not take at once stays as it is until `#onWritten`. */
  #pin(): void {
    if (this.#lent === undefined || this.#pinned?.includes(this.#lent) === true) return;
    (this.#pinned ??= []).push(this.#lent);
    this.#lent.pin();
  }

  #unpin(): void {
    for (const slab of this.#pinned ?? []) slab.unpin();
    this.#pinned = undefined;
  }

  readonly #onWritten = (): void => {
    if (this.#to.writableLength === 0) this.#unpin();
  };

  readonly #onDrain = (): void => {
    this.#count(0);
    if (!this.#stopped) this.#from.resume();
  };

  readonly #onEnd = (): void => {
    if (!this.#to.destroyed) this.#to.end();
  };

  #count(waiting: number): void {
    this.#budget.take(waiting - this.#counted);
    this.#counted = waiting;
  }
}
