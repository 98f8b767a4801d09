// Frames of smux version 1, which multiplexes the streams of a channel: 8 bytes of header (little-endian), then data. No I/O.
// Neighbour: smux-multiplexer.ts turns frames into streams. Source: github.com/xtaci/smux v1.5.15, which the agent carries.

/** The commands; the agent parses `window` (version 2 only) but never sends it to a version 1 peer. */
export const command = { open: 0, finish: 1, push: 2, nop: 3, window: 4 } as const;
export type Command = (typeof command)[keyof typeof command];

export const frameHeader = 8;
/** The most data in one frame, in bytes: the agent's default MaxFrameSize. */
export const maxFrameData = 32_768;
const smuxVersion = 1;

/** Writes a header at `offset`. `length` is that of the data that follows: 0 for every command but push. */
export function writeFrameHeader(
  target: Buffer,
  offset: number,
  frame: { readonly command: Command; readonly stream: number; readonly length: number },
): void {
  target[offset] = smuxVersion;
  target[offset + 1] = frame.command;
  target.writeUInt16LE(frame.length, offset + 2);
  target.writeUInt32LE(frame.stream, offset + 4);
}

/** The far side sent bytes that are not smux version 1: nothing after them can be understood. */
export class SmuxProtocolError extends Error {
  override readonly name = 'SmuxProtocolError';
}

export interface FrameHandler {
  opened(stream: number): void;
  finished(stream: number): void;
  /** Part of a frame's data, never empty, in order; a view of the chunk it came in. */
  data(stream: number, piece: Buffer): void;
  nop(): void;
}

/** Cuts a byte stream into frames, wherever its chunks were cut. Keeps at most one header; data is handed on as it comes. */
export class FrameParser {
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(frameHeader);
  #headerBytes = 0;
  #stream = 0;
  #dataLeft = 0;
  #skipLeft = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** @throws SmuxProtocolError; do not use the parser afterwards. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const left = chunk.length - at;
      if (this.#dataLeft > 0) {
        const length = Math.min(left, this.#dataLeft);
        this.#dataLeft -= length;
        this.#handler.data(this.#stream, chunk.subarray(at, at + length));
        at += length;
      } else if (this.#skipLeft > 0) {
        const length = Math.min(left, this.#skipLeft);
        this.#skipLeft -= length;
        at += length;
      } else {
        const length = Math.min(left, frameHeader - this.#headerBytes);
        chunk.copy(this.#header, this.#headerBytes, at, at + length);
        this.#headerBytes += length;
        at += length;
        if (this.#headerBytes === frameHeader) this.#frame();
      }
    }
  }

  #frame(): void {
    this.#headerBytes = 0;
    const version = this.#header[0];
    const kind = this.#header[1];
    if (version !== smuxVersion) throw new SmuxProtocolError(`a frame of smux version ${version}`);
    this.#stream = this.#header.readUInt32LE(4);
    switch (kind) {
      // In these three the length is ignored and no data is skipped, as in the agent's own reader.
      case command.open:
        return this.#handler.opened(this.#stream);
      case command.finish:
        return this.#handler.finished(this.#stream);
      case command.nop:
        return this.#handler.nop();
      case command.push:
        this.#dataLeft = this.#header.readUInt16LE(2);
        return;
      case command.window:
        this.#skipLeft = 8;
        return;
      default:
        throw new SmuxProtocolError(`a frame with the unknown command ${kind}`);
    }
  }
}
