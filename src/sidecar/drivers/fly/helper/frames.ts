// The frames in which a stream travels between this process and the helper. No I/O: bytes in, events out.
// Neighbours: stream.ts uses it; pump.go is the other end and has the format.

const headerBytes = 5;
const kinds = { data: 0, fin: 1, reset: 2 } as const;

/** The most that one frame of ours carries; the helper ends a stream whose frame is longer. */
const maxFrameBytes = 16 * 1024;
/** Of the helper's. */
const maxHelperFrameBytes = 64 * 1024;
/** A reset carries the name of its kind. */
const maxResetBytes = 64;

export interface FrameEvents {
  /** A view of the chunk that was pushed: copy what is kept. */
  data(piece: Buffer): void;
  fin(): void;
  /** The far side broke the stream; `kind` as in helper/streams.go. */
  reset(kind: string): void;
}

/** The helper sent bytes that are no frame: nothing after them can be understood. */
class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** Takes a byte stream apart, however it is cut. Keeps no data, at most a header and the text of a reset. */
export class HelperFrames {
  readonly #events: FrameEvents;
  readonly #header = Buffer.alloc(headerBytes);
  #headerLength = 0;
  #kind: number = kinds.data;
  #left = 0;
  #text = '';

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /** @throws FrameError */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0) {
        const taken = Math.min(headerBytes - this.#headerLength, chunk.length - at);
        chunk.copy(this.#header, this.#headerLength, at, at + taken);
        this.#headerLength += taken;
        at += taken;
        if (this.#headerLength === headerBytes) this.#begin();
        continue;
      }
      const piece = chunk.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      if (this.#kind === kinds.data) this.#events.data(piece);
      else this.#resetText(piece);
    }
  }

  #begin(): void {
    this.#headerLength = 0;
    this.#kind = this.#header[0] ?? kinds.data;
    this.#left = this.#header.readUInt32BE(1);
    if (this.#kind === kinds.fin && this.#left === 0) this.#events.fin();
    else if (this.#kind === kinds.reset && this.#left > 0 && this.#left <= maxResetBytes) this.#text = '';
    else if (this.#kind !== kinds.data || this.#left > maxHelperFrameBytes)
      throw new FrameError('the helper sent no frame');
  }

  #resetText(piece: Buffer): void {
    this.#text += piece.toString('latin1');
    if (this.#left === 0) this.#events.reset(this.#text);
  }
}

/** The frames that carry these bytes, header and content by turns: for one gathering write, nothing is copied. */
export function dataFrames(chunks: readonly Buffer[]): Buffer[] {
  const parts: Buffer[] = [];
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += maxFrameBytes) {
      const content = chunk.subarray(at, at + maxFrameBytes);
      parts.push(header(kinds.data, content.length), content);
    }
  }
  return parts;
}

/** What `bytes` take as frames. */
export function framedLength(bytes: number): number {
  return bytes + headerBytes * Math.ceil(bytes / maxFrameBytes);
}

/** Writes the frames that carry the bytes into `target`, which has their framed length. */
export function writeFrames(bytes: Buffer, target: Buffer): void {
  let to = 0;
  for (let at = 0; at < bytes.length; at += maxFrameBytes) {
    const content = bytes.subarray(at, at + maxFrameBytes);
    target[to] = kinds.data;
    target.writeUInt32BE(content.length, to + 1);
    target.set(content, to + headerBytes);
    to += headerBytes + content.length;
  }
}

export const finFrame = header(kinds.fin, 0);

function header(kind: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes);
  bytes[0] = kind;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
