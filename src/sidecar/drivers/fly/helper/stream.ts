// One stream through the helper as a Duplex: a connection to its unix socket. It ends only with the far side's FIN; a reset, a helper that
// died and a session that ended destroy it with an error.
// Neighbours: frames.ts (the format), helper-process.ts (the socket), session.ts opens it.
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { TunnelError } from '../../../../contract/errors.ts';
import { abortable, onAbort } from '../../../../process/abort.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { Borrower, Lending } from '../../../base/slab.ts';
import type { FrameMemory } from './frame-memory.ts';
import { dataFrames, finFrame, framedLength, HelperFrames, writeFrames } from './frames.ts';
import { HelperError } from './helper-error.ts';

/** What waits for the reader before the helper is asked to stop, in bytes. */
const readBuffer = 16 * 1024;
/** The kernel's bytes are read into this one, whoever they are for, and copied at once: a thousand idle streams hold none. */
const shared = Buffer.allocUnsafe(64 * 1024);
/** While the pod's memory is scarce, because each stream may hold what one read brings. */
const sharedWhenScarce = shared.subarray(0, 8 * 1024);
/** Scarce: so many large reads are no longer left. */
const plenty = 256 * shared.length;
/** A helper that ended is reported by its exit as well, which ends the session and so the stream; it comes first within this time. */
const sessionEndsMs = 500;
/** The helper's answer to a dial is one short line. */
const maxAnswerBytes = 4 * 1024;

export interface StreamRequest {
  readonly socketPath: string;
  readonly token: string;
  readonly device: string;
  /** An IPv6 address of the organization's network. */
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
}

/**
 * Dials through the helper.
 * @throws HelperError with the helper's kind (`refused`, `timeout`, `unreachable`, …), `gone` where the helper is; or the signal's reason
 */
export async function openStream(
  { socketPath, ...request }: StreamRequest,
  { signal, ...owner }: Omit<StreamOwner, 'opening'> & { readonly signal: AbortSignal },
): Promise<HelperStream> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const opening = { resolve, reject };
  const stream = new HelperStream(socketPath, `${JSON.stringify(request)}\n`, { ...owner, opening });
  try {
    await abortable(promise, { signal });
    return stream;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

interface StreamOwner {
  readonly budget: ByteBudget;
  readonly clock: Clock;
  /** Where bytes lie that are lent. */
  readonly memory: FrameMemory;
  readonly opening: Opening;
}

interface Opening {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class HelperStream extends Duplex implements Lending {
  readonly #socket: Socket;
  readonly #budget: ByteBudget;
  readonly #frames: HelperFrames;
  readonly #memory: FrameMemory;
  readonly #opening: Opening;
  readonly #clock: Clock;
  /** Views of the bytes that are being read. */
  readonly #arrived: Buffer[] = [];
  #cancelBreak: () => void = () => undefined;
  #answer: string | undefined = '';
  #counted = 0;
  #ended = false;
  #borrower: Borrower | undefined;

  constructor(path: string, request: string, { budget, clock, memory, opening }: StreamOwner) {
    super({ readableHighWaterMark: readBuffer, writableHighWaterMark: 64 * 1024 });
    this.#budget = budget;
    this.#memory = memory;
    this.#opening = opening;
    this.#clock = clock;
    this.#frames = new HelperFrames({
      data: (piece) => void this.#arrived.push(piece),
      fin: () => this.#end(),
      reset: (kind) => this.destroy(new TunnelError('DestinationUnreachable', resetSentence(kind))),
    });
    // A stream may break in the turn in which it has no reader yet; that must not end the process.
    this.on('error', () => undefined);
    this.#socket = connect({
      path,
      onread: {
        buffer: () => (budget.spare >= plenty ? shared : sharedWhenScarce),
        callback: (length, buffer) => this.#receive(Buffer.from(buffer.buffer, buffer.byteOffset, length)),
      },
    });
    this.#socket.write(request);
    this.#socket.on('error', (cause) => this.#broken(cause));
    this.#socket.on('close', () => this.#broken(undefined));
  }

  lendTo(borrower: Borrower): void {
    this.#borrower = borrower;
  }

  writeLent(bytes: Buffer): boolean {
    const isNext = this.writable && this.writableLength === 0 && this.#socket.writableLength === 0;
    const part = isNext ? this.#memory.take(framedLength(bytes.length)) : undefined;
    if (part === undefined) return this.write(Buffer.from(bytes));
    writeFrames(bytes, part.bytes);
    let pinned = false;
    this.#socket.write(part.bytes, () => {
      if (pinned) part.slab.unpin();
    });
    // The kernel took only some of it. What follows waits behind it, as a copy.
    if (this.#socket.writableLength > 0) {
      pinned = true;
      part.slab.pin();
    }
    return true;
  }

  /** Stops reading at once: otherwise each stalled client would hold one more read, a thousand of them some 30 MiB. */
  override pause(): this {
    super.pause();
    if (this.#borrower !== undefined) this.#socket.pause();
    return this;
  }

  override resume(): this {
    super.resume();
    // `_read` is called only if a read is still unanswered, and what was lent has answered none.
    if (this.#borrower !== undefined && this.readableLength < readBuffer) this.#socket.resume();
    return this;
  }

  override _read(): void {
    this.#settleBudget();
    if (this.#answer === undefined) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#send([chunk], callback);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.write(finFrame, (error) => callback(error));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // Without FIN the helper takes the end of the connection for a break, and resets the far side.
    this.#socket.destroy();
    this.#cancelBreak();
    this.#budget.giveBack(this.#counted);
    this.#counted = 0;
    callback(error);
  }

  #send(chunks: readonly Buffer[], callback: (error?: Error | null) => void): void {
    const parts = dataFrames(chunks);
    const last = parts.pop();
    if (last === undefined) return callback();
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.write(last, (error) => callback(error));
    this.#socket.uncork();
  }

  /** Returns whether the socket is to go on reading. */
  #receive(chunk: Buffer): boolean {
    try {
      const content = this.#answer === undefined ? chunk : this.#takeAnswer(chunk);
      if (content !== undefined) this.#frames.push(content);
      this.#deliver();
    } catch (error) {
      this.#opening.reject(error);
      this.destroy(error instanceof Error ? error : undefined);
      return false;
    }
    return this.destroyed || this.#answer !== undefined || this.readableLength < readBuffer;
  }

  /** Gives what follows the answer's line, undefined while it is not whole. @throws HelperError where the helper refuses. */
  #takeAnswer(chunk: Buffer): Buffer | undefined {
    const end = chunk.indexOf(0x0a);
    this.#answer += chunk.toString('utf8', 0, end === -1 ? chunk.length : end);
    const text = this.#answer ?? '';
    if (text.length > maxAnswerBytes) throw new HelperError('internal', 'the helper’s answer is too long');
    if (end === -1) return undefined;
    this.#answer = undefined;
    const { error } = JSON.parse(text) as { error?: { kind: string; message: string } };
    if (error !== undefined) throw new HelperError(error.kind, error.message);
    this.#opening.resolve();
    return chunk.subarray(end + 1);
  }

  /** Copies what one read brought as one piece: the frames of a busy stream are short, and each piece costs the reader a write. */
  #deliver(): void {
    const pieces = this.#arrived.splice(0);
    if (pieces.length === 0 || this.#ended || this.destroyed) return;
    if (this.#lend(pieces)) return;
    this.push(Buffer.concat(pieces));
    this.#settleBudget();
  }

  /** False if nobody takes it at once. */
  #lend(pieces: readonly Buffer[]): boolean {
    if (this.#borrower === undefined || this.readableFlowing !== true || this.readableLength > 0) return false;
    const part = this.#memory.take(pieces.reduce((length, piece) => length + piece.length, 0));
    if (part === undefined) return false;
    let at = 0;
    for (const piece of pieces) {
      part.bytes.set(piece, at);
      at += piece.length;
    }
    this.#borrower(part.bytes, part.slab);
    return true;
  }

  #end(): void {
    this.#deliver();
    this.#ended = true;
    this.push(null);
  }

  /** Counts what waits for the reader now. */
  #settleBudget(): void {
    const change = this.readableLength - this.#counted;
    if (change > 0) this.#budget.take(change);
    else this.#budget.giveBack(-change);
    this.#counted = this.readableLength;
  }

  #broken(cause: Error | undefined): void {
    // After both ends it is only the connection’s own end.
    if (this.#ended && this.writableFinished) return;
    const error = new HelperError('gone', 'the connection to the fly helper ended', cause);
    this.#opening.reject(error);
    this.#cancelBreak();
    this.#cancelBreak = this.#clock.after(sessionEndsMs, () =>
      this.destroy(new TunnelError('BastionLost', 'the tunnel’s helper ended', { cause: error })),
    );
  }
}

function resetSentence(kind: string): string {
  return kind === 'timeout' ? 'the destination no longer answers' : 'the destination broke the connection';
}

/** Destroys the stream with the session’s reason as soon as that has ended. */
export function endWith(stream: HelperStream, session: AbortSignal): void {
  const listening = onAbort(session, (reason) => stream.destroy(reason as Error));
  stream.once('close', () => listening[Symbol.dispose]());
}
