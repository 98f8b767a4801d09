// One forwarded channel as a Duplex whose ending can be trusted: `end` comes only after the far side's CHANNEL_EOF; a close without EOF, a
// lost session and a protocol error destroy it with an error. Half-close works both ways; `destroy` closes the channel.
// Neighbours: session.ts feeds it and removes it, inbound-window.ts and transmit-gate.ts bound what it buffers.
import { Duplex } from 'node:stream';
import type { TunnelError } from '../../../../contract/errors.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import { type Borrower, type Lending, slabOf } from '../../../base/slab.ts';
import type { ChannelMessages } from '../base/ssh2-hardening.ts';
import type { InboundWindow } from './inbound-window.ts';
import type { TransmitGate } from './transmit-gate.ts';

export interface ChannelOptions {
  readonly messages: ChannelMessages;
  readonly gate: TransmitGate;
  readonly budget: ByteBudget;
  /** Already granted to the far side when the channel was opened. */
  readonly inbound: InboundWindow;
  /** The channel’s id on the far side. */
  readonly remote: number;
  /** What the far side allows us to send: RFC 4254 §5.2. */
  readonly outbound: { readonly window: number; readonly maxPacket: number };
  /** The error for a channel that the far side closed without CHANNEL_EOF. */
  readonly closedEarly: () => TunnelError;
  /** False once the session is lost: nothing can be sent any more. */
  readonly alive: () => boolean;
}

/** A slice keeps the whole allocation behind it in memory; a waiting chunk is copied if that is more than this many times its size. */
const wasteFactor = 4;

export class ChannelStream extends Duplex implements Lending {
  readonly #options: ChannelOptions;
  #outboundWindow: number;
  #parked: { chunk: Buffer; readonly done: (error?: Error | null) => void } | undefined;
  #parkedBytes = 0;
  #received = 0;
  #consumed = 0;
  #farSideEnded = false;
  #farSideClosed = false;
  #closeSent = false;
  #borrower: Borrower | undefined;

  constructor(options: ChannelOptions) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#options = options;
    this.#outboundWindow = options.outbound.window;
  }

  /** Bytes received so far: the sign of life of a session that runs over this channel. */
  get bytesRead(): number {
    return this.#received;
  }

  // --- messages of the far side; called by the session ---

  /** False if the far side overran its window. */
  receive(bytes: Buffer): boolean {
    // Sent before the far side saw our close: dropped, and never credited.
    if (this.destroyed || this.#farSideEnded) return true;
    if (!this.#options.inbound.received(bytes.length)) return false;
    this.#received += bytes.length;
    const waits = this.readableLength > 0 || !this.readableFlowing;
    const slab = slabOf(bytes);
    if (slab === undefined) {
      this.push(waits && bytes.length * wasteFactor < bytes.buffer.byteLength ? Buffer.from(bytes) : bytes);
    } else if (waits || this.#borrower === undefined || !slab.mayPin) this.push(Buffer.from(bytes));
    else this.#borrower(bytes, slab);
    this.#credit();
    return true;
  }

  lendTo(borrower: Borrower): void {
    this.#borrower = borrower;
  }

  writeLent(bytes: Buffer): boolean {
    const isNext = this.writable && this.writableLength === 0 && !this.#farSideClosed && this.#options.alive();
    const sent = isNext ? this.#sendNow(bytes) : 0;
    return sent === bytes.length || this.write(Buffer.from(bytes.subarray(sent)));
  }

  receiveExtended(length: number): boolean {
    if (this.destroyed) return true;
    if (!this.#options.inbound.received(length)) return false;
    this.#adjust(length);
    return true;
  }

  receiveEof(): void {
    if (this.#farSideEnded || this.destroyed) return;
    this.#farSideEnded = true;
    this.push(null);
  }

  /** CHANNEL_CLOSE: after EOF all bytes are here and may still be read; before EOF the stream is broken off. */
  receiveClose(): void {
    this.#farSideClosed = true;
    this.#sendClose();
    if (this.destroyed) return;
    if (!this.#farSideEnded) {
      this.destroy(this.#options.closedEarly());
      return;
    }
    // Nobody takes our bytes any more. If some are still unwritten, they are lost: report that after the received ones were read.
    if (this.writableLength === 0) {
      // Ending twice would create an error that nobody sees.
      if (!this.writableEnded) this.end();
    } else if (this.readableEnded) this.destroy(this.#options.closedEarly());
    else this.once('end', () => this.destroy(this.#options.closedEarly()));
  }

  /** RFC 4254 §5.2: the window grows by what the far side grants. */
  receiveWindow(bytes: number): void {
    this.#outboundWindow += bytes;
    this.#send();
  }

  /** Answers a channel request that wants a reply, such as sshd's keep-alive. */
  refuseRequest(): void {
    if (!this.#closeSent && !this.destroyed) this.#options.messages.refuseRequest(this.#options.remote);
  }

  // --- Duplex ---

  override _read(): void {
    // Data is pushed as it arrives; `read` sees what the reader has taken.
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (chunk !== null) this.#credit();
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#farSideClosed || !this.#options.alive()) {
      done(this.#options.closedEarly());
      return;
    }
    this.#parked = { chunk, done };
    this.#send();
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#closeSent && this.#options.alive()) this.#options.messages.eof(this.#options.remote);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#options.gate.leave(this.#send);
    this.#accountParked(0);
    this.#parked = undefined;
    this.#options.inbound.release();
    this.#sendClose();
    done(error);
  }

  /** Sends as much of the parked chunk as window and gate permit, then waits for the one that is closed. */
  readonly #send = (): void => {
    const parked = this.#parked;
    if (parked === undefined || this.destroyed) return;
    const sent = this.#sendNow(parked.chunk);
    if (sent === parked.chunk.length) {
      this.#parked = undefined;
      this.#accountParked(0);
      parked.done();
      return;
    }
    parked.chunk = parked.chunk.subarray(sent);
    this.#accountParked(parked.chunk.length);
    // The far side's adjustment reopens a closed window; only for a closed gate we wait in line.
    if (this.#outboundWindow > 0) this.#options.gate.wait(this.#send);
  };

  /** Sends what window and gate permit. Returns how many bytes that is. */
  #sendNow(chunk: Buffer): number {
    const { gate, messages, remote, outbound } = this.#options;
    let sent = 0;
    while (sent < chunk.length && this.#outboundWindow > 0 && gate.open) {
      const size = Math.min(chunk.length - sent, this.#outboundWindow, outbound.maxPacket);
      messages.data(remote, chunk.subarray(sent, sent + size));
      this.#outboundWindow -= size;
      sent += size;
    }
    return sent;
  }

  #accountParked(bytes: number): void {
    this.#options.budget.giveBack(this.#parkedBytes - bytes);
    this.#parkedBytes = bytes;
  }

  /** Credits the bytes that have left our buffer towards the local side since the last call. */
  #credit(): void {
    const consumed = this.#received - this.readableLength;
    const bytes = consumed - this.#consumed;
    if (bytes === 0) return;
    this.#consumed = consumed;
    this.#adjust(bytes);
  }

  #adjust(bytes: number): void {
    const { inbound, messages, remote, alive } = this.#options;
    const grant = inbound.consumed(bytes, performance.now());
    // After its EOF the far side sends nothing more: a grant would be useless.
    if (grant > 0 && !this.#closeSent && !this.#farSideEnded && alive()) messages.adjustWindow(remote, grant);
  }

  #sendClose(): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    if (this.#options.alive()) this.#options.messages.close(this.#options.remote);
  }
}
