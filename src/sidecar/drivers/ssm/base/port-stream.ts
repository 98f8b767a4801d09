// One stream to the destination as a Duplex. It knows nothing of frames: its carrier, a multiplexer, takes bytes out of it when the channel has
// room and hands bytes in as they come. The protocol has no half-close and no window per stream; the consequences are here: the end by silence,
// and the bounded queue. Neighbours: streams/ (the two multiplexers).
import { Duplex } from 'node:stream';
import { TunnelError } from '../../../../contract/errors.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { ByteChannel } from './byte-channel.ts';
import { afterSilence } from './silence-timer.ts';

/** A stream is full from the first count on, and its channel stops reading; below the second it reads again. */
const queueFull = 1024 * 1024;
const queueLow = 768 * 1024;
/** While the pod's byte budget is used up, a stream is full from this count on. */
const queueScarce = 64 * 1024;
/** Once a client has ended its side, the stream ends when the destination has been silent for this long. */
const silenceMs = 2_000;
/** At most this is handed on in one turn of the event loop, so that the reader can pause. */
const maxBurst = 64 * 1024;

/** What Writable buffers, in bytes; the chunk in `_write` comes on top. */
const writeBuffer = 64 * 1024;
/** The next chunk is requested when no more than this waits: with nothing left, each chunk would end in an almost empty message. */
const writeLow = 16 * 1024;

/** Carries a stream's bytes: a multiplexer, as the stream sees it. */
export interface Carrier {
  readonly clock: Clock;
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
  readonly channel: Pick<ByteChannel, 'inputPaused' | 'inputPausedUntil' | 'mark'>;
  /** The stream has bytes to send. */
  hasOutput(stream: PortStream): void;
  /** Nothing more is sent on the stream: tell the far side. Called once. */
  finish(stream: PortStream): void;
  /** The stream is destroyed. Called once, after `finish`. */
  closed(stream: PortStream): void;
  /** `full` has changed. */
  fullChanged(stream: PortStream): void;
}

export class PortStream extends Duplex {
  readonly id: number;
  /** Bytes of the destination received so far. */
  received = 0;
  readonly #carrier: Carrier;
  #outbound: Buffer[] = [];
  #outboundBytes = 0;
  #written: ((error?: Error | null) => void) | undefined;
  #inbound: Buffer[] = [];
  #inboundBytes = 0;
  #unreadSince: number | undefined;
  #wanted = false;
  #burst = 0;
  #pauseBurst: NodeJS.Immediate | undefined;
  #full = false;
  #remoteFinished = false;
  #localFinished = false;
  #heardAt: number;
  #cancelSilence: (() => void) | undefined;
  #finalDone: ((error?: Error | null) => void) | undefined;

  constructor(id: number, carrier: Carrier) {
    // One byte: what is not consumed at once goes into our own queue, which is counted and copied out of the socket's memory.
    super({ allowHalfOpen: false, readableHighWaterMark: 1, writableHighWaterMark: writeBuffer });
    this.id = id;
    this.#carrier = carrier;
    this.#heardAt = carrier.clock.now();
    // A channel may end in the turn in which its streams have no listener yet; that must not end the process.
    this.on('error', () => undefined);
  }

  /** True while so much waits for the reader that the channel should stop reading. */
  get full(): boolean {
    return this.#full;
  }

  /** Since when bytes have waited without the reader taking any; undefined while none wait. */
  get unreadSince(): number | undefined {
    return this.#unreadSince;
  }

  /** True while bytes wait to be taken. */
  get waiting(): boolean {
    return this.#outbound.length > 0;
  }

  /** Copies at most `limit` waiting bytes to `target`; returns how many. */
  takeInto(target: Buffer, offset: number, limit: number): number {
    let taken = 0;
    while (taken < limit) {
      const chunk = this.#outbound[0];
      if (chunk === undefined) break;
      const length = Math.min(chunk.length, limit - taken);
      chunk.copy(target, offset + taken, 0, length);
      taken += length;
      if (length === chunk.length) this.#outbound.shift();
      else this.#outbound[0] = chunk.subarray(length);
    }
    this.#outboundBytes -= taken;
    if (this.#outboundBytes <= writeLow) this.#wrote();
    if (this.#finalDone !== undefined && !this.waiting) this.#sentAll();
    return taken;
  }

  /** How many bytes `takeInto` would take. */
  waitingBytes(limit: number): number {
    return Math.min(limit, this.#outboundBytes);
  }

  /** Bytes of the destination, in order. `piece` may be a view that keeps a larger piece of memory alive. */
  deliver(piece: Buffer): void {
    if (this.#remoteFinished || this.destroyed || piece.length === 0) return;
    this.received += piece.length;
    this.#heardAt = this.#carrier.clock.now();
    if (this.#wanted && this.#inbound.length === 0 && this.#pauseBurst === undefined) {
      this.#wanted = this.push(piece);
      if (!this.#wanted) this.#unreadSince = this.#heardAt;
      return;
    }
    this.#unreadSince ??= this.#heardAt;
    this.#inbound.push(Buffer.from(piece));
    this.#inboundBytes += piece.length;
    this.#carrier.budget.take(piece.length);
    this.#judgeFull();
  }

  /** The far side has ended the stream in both directions: what was received is still read, what was not sent is discarded. */
  finishedByRemote(): void {
    if (this.#remoteFinished || this.destroyed) return;
    this.#remoteFinished = true;
    this.#discardOutbound();
    this.#wrote();
    this.#cancelSilence?.();
    this.#endWrites();
    this.#flush();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#queue([chunk], callback);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#queue(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  override _read(): void {
    this.#wanted = true;
    this.#flush();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finalDone = callback;
    if (this.#remoteFinished) this.#endWrites();
    else if (!this.waiting) this.#sentAll();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#cancelSilence?.();
    if (this.#pauseBurst !== undefined) clearImmediate(this.#pauseBurst);
    this.#discardOutbound();
    this.#inbound = [];
    this.#carrier.budget.giveBack(this.#inboundBytes);
    this.#inboundBytes = 0;
    this.#judgeFull();
    this.#finish();
    this.#carrier.closed(this);
    callback(error);
  }

  #queue(chunks: readonly Buffer[], callback: (error?: Error | null) => void): void {
    if (this.#remoteFinished) {
      // The far side has ended the stream; our reader learns of it by itself.
      callback();
      return;
    }
    for (const chunk of chunks) {
      if (chunk.length > 0) this.#outbound.push(chunk);
      this.#outboundBytes += chunk.length;
    }
    this.#written = callback;
    if (this.#outbound.length === 0) this.#wrote();
    else this.#carrier.hasOutput(this);
  }

  #wrote(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  #discardOutbound(): void {
    this.#outbound = [];
    this.#outboundBytes = 0;
  }

  #flush(): void {
    while (this.#wanted && this.#inbound.length > 0) {
      if (this.#burst >= maxBurst) {
        this.#pauseBurst ??= setImmediate(() => {
          this.#pauseBurst = undefined;
          this.#burst = 0;
          this.#flush();
        });
        return;
      }
      const chunk = this.#inbound.shift();
      if (chunk === undefined) break;
      this.#inboundBytes -= chunk.length;
      this.#carrier.budget.giveBack(chunk.length);
      this.#burst += chunk.length;
      this.#unreadSince = this.#carrier.clock.now();
      this.#wanted = this.push(chunk);
    }
    if (this.#inbound.length === 0) {
      this.#burst = 0;
      // Unless the last piece still waits in Node's own buffer.
      if (this.#wanted) this.#unreadSince = undefined;
    }
    this.#judgeFull();
    if (this.#remoteFinished && this.#inbound.length === 0 && !this.destroyed) this.push(null);
  }

  #judgeFull(): void {
    const scarce = this.#carrier.budget.free === 0 && this.#inboundBytes >= queueScarce;
    const full = scarce || this.#inboundBytes >= (this.#full ? queueLow : queueFull);
    if (full === this.#full) return;
    this.#full = full;
    this.#carrier.fullChanged(this);
  }

  /** The client has ended its side, and all its bytes are taken: the wait begins once the message with the last of them has its number. */
  #sentAll(): void {
    queueMicrotask(() => {
      if (this.destroyed || this.#remoteFinished || this.#cancelSilence !== undefined) return;
      this.#awaitSilence(this.#carrier.clock.now() + silenceMs, this.#carrier.channel.mark());
    });
  }

  /** The client has ended its side, the destination has not: end the stream when the destination has been silent for a while and is read. */
  #awaitSilence(at: number, arrived: () => boolean): void {
    const { clock } = this.#carrier;
    this.#cancelSilence = afterSilence(clock, Math.max(0, at - clock.now()), (overslept) => {
      if (overslept) this.#heardAt = clock.now();
      const silentAt = Math.max(this.#heardAt, this.#carrier.channel.inputPausedUntil) + silenceMs;
      const unread = this.#inbound.length > 0 || this.readableLength > 0;
      const busy = this.#carrier.channel.inputPaused || unread || !arrived();
      if (busy || silentAt > clock.now()) {
        this.#awaitSilence(busy ? clock.now() + silenceMs : silentAt, arrived);
        return;
      }
      // Not a clean end: nobody can know whether the destination was done.
      this.destroy(
        new TunnelError(
          'DestinationTimeout',
          'the client had ended its side, and the destination then said nothing for 2 s: Session Manager cannot end one side alone',
        ),
      );
    });
  }

  #endWrites(): void {
    this.#finish();
    const done = this.#finalDone;
    this.#finalDone = undefined;
    done?.();
  }

  #finish(): void {
    if (this.#localFinished) return;
    this.#localFinished = true;
    this.#carrier.finish(this);
  }
}
