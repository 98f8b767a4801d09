// Reads JSON as it arrives and keeps what an outline names. What is dropped is never a string, never parsed, and held no longer than its
// chunk.
// Neighbours: ../base/outline.ts (what is kept), watch-stream.ts and transport.ts (feed it).
import { ResponseTooLarge } from '../base/api-error.ts';
import type { Outline } from '../base/outline.ts';

type Members = Exclude<Outline, boolean>;

/** An object or list of which only parts are kept. */
interface Frame {
  readonly members: Members;
  readonly isList: boolean;
  /** Members or entries kept so far: decides on the comma. */
  kept: number;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openList = 0x5b;
const backslash = 0x5c;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/** What the next byte belongs to: the start of a value, a value that is kept or dropped as a whole, or what is between values. */
type Place = 'value' | 'whole' | 'between' | 'key' | 'colon';

const smallBytes = 64 << 10;

/** One JSON document after the other. What it keeps is valid JSON if the document is. A document that is cut off stays invalid. */
export class JsonSieve {
  readonly #outline: Outline;
  readonly #what: string;
  readonly #maxBytes: number;
  readonly #frames: Frame[] = [];
  #kept: Buffer = Buffer.allocUnsafe(smallBytes);
  #length = 0;
  #place: Place = 'value';
  /** What to keep of the value that begins next. */
  #next: Outline;
  /** Of a whole value: whether it is kept, how deep its brackets are, and whether the byte is in a string or after a backslash. */
  #copy = false;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Where in what is kept the member's comma and its key begin. */
  #memberStart = 0;
  #keyStart = 0;

  /** `maxBytes` bounds what is kept of one document; `what` it is, for the error. */
  constructor(outline: Outline, { what, maxBytes }: { readonly what: string; readonly maxBytes: number }) {
    this.#outline = outline;
    this.#what = what;
    this.#next = outline;
    this.#maxBytes = maxBytes;
  }

  /** Takes the next bytes of the document, of which nothing is kept by reference. @throws ResponseTooLarge if more than `maxBytes` are kept */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) at = this.#place === 'whole' ? this.#whole(chunk, at) : this.#step(chunk, at);
  }

  /** What was kept of the document; the next byte starts another one. */
  take(): string {
    const text = this.#kept.toString('utf8', 0, this.#length);
    this.#length = 0;
    this.#frames.length = 0;
    this.#place = 'value';
    this.#next = this.#outline;
    if (this.#kept.length > 16 * smallBytes) this.#kept = Buffer.allocUnsafe(smallBytes);
    return text;
  }

  /** Goes on with a value that is kept or dropped as a whole, and gives where it stopped. */
  #whole(chunk: Uint8Array, from: number): number {
    let at = from;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    let ended = false;
    for (; at < chunk.length && !ended; at++) {
      const byte = chunk[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) {
          inString = false;
          ended = depth === 0;
        }
      } else if (byte === quote) inString = true;
      else if (byte === openObject || byte === openList) depth += 1;
      else if (byte === closeObject || byte === closeList) {
        // At depth 0 it closes what a number or a word stands in.
        if (depth === 0) break;
        depth -= 1;
        ended = depth === 0;
      } else if (byte === comma && depth === 0) break;
    }
    if (this.#copy) this.#keep(chunk, from, at);
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (ended || at < chunk.length) this.#place = 'between';
    return at;
  }

  /** One byte outside of whole values. Gives where the next byte is. */
  #step(chunk: Uint8Array, at: number): number {
    const byte = chunk[at] ?? 0;
    switch (this.#place) {
      case 'key':
        return this.#key(chunk, at);
      case 'colon':
        if (byte === colon) {
          if (this.#next !== false) this.#keepByte(colon);
          this.#place = 'value';
        }
        return at + 1;
      case 'value':
        if (isSpace(byte)) return at + 1;
        return this.#begin(byte, at);
      default:
        return this.#between(byte, at);
    }
  }

  /** The first byte of a value, or the end of an empty list. */
  #begin(byte: number, at: number): number {
    const parent = this.#frames.at(-1);
    if (byte === closeList && parent?.isList === true) return this.#close(byte, at);
    if (parent?.isList === true) {
      if (parent.kept > 0) this.#keepByte(comma);
      parent.kept += 1;
    }
    const next = this.#next;
    if (typeof next === 'object' && (byte === openObject || byte === openList)) {
      this.#keepByte(byte);
      this.#frames.push({ members: next, isList: byte === openList, kept: 0 });
      this.#place = byte === openList ? 'value' : 'between';
      return at + 1;
    }
    this.#copy = next !== false;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
    this.#place = 'whole';
    return at;
  }

  /** After a value, or before the first member of an object. */
  #between(byte: number, at: number): number {
    const frame = this.#frames.at(-1);
    if (frame === undefined) {
      // After the document only white space is right; JSON.parse judges the rest.
      if (!isSpace(byte)) this.#keepByte(byte);
      return at + 1;
    }
    if (byte === closeObject || byte === closeList) return this.#close(byte, at);
    if (frame.isList) {
      if (byte === comma) {
        this.#next = frame.members;
        this.#place = 'value';
      }
    } else if (byte === quote) {
      this.#memberStart = this.#length;
      if (frame.kept > 0) this.#keepByte(comma);
      this.#keepByte(quote);
      this.#keyStart = this.#length;
      this.#escaped = false;
      this.#place = 'key';
    }
    return at + 1;
  }

  /** The rest of a member's name: it is kept until it is known whether the member is. */
  #key(chunk: Uint8Array, from: number): number {
    let at = from;
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) break;
    }
    this.#keep(chunk, from, at);
    if (at === chunk.length) return at;
    const frame = this.#frames.at(-1);
    const name = this.#kept.toString('latin1', this.#keyStart, this.#length);
    this.#next = frame === undefined ? false : outlineOf(frame.members, name);
    if (this.#next === false) this.#length = this.#memberStart;
    else {
      this.#keepByte(quote);
      if (frame !== undefined) frame.kept += 1;
    }
    this.#place = 'colon';
    return at + 1;
  }

  #close(byte: number, at: number): number {
    this.#keepByte(byte);
    this.#frames.pop();
    this.#place = 'between';
    return at + 1;
  }

  #keep(chunk: Uint8Array, from: number, to: number): void {
    this.#reserve(to - from);
    this.#kept.set(chunk.subarray(from, to), this.#length);
    this.#length += to - from;
  }

  #keepByte(byte: number): void {
    this.#reserve(1);
    this.#kept[this.#length++] = byte;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed > this.#maxBytes) throw new ResponseTooLarge(this.#what, this.#maxBytes);
    if (needed <= this.#kept.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#kept.length));
    this.#kept.copy(larger, 0, 0, this.#length);
    this.#kept = larger;
  }
}

/** Names with escapes or beyond ASCII are in no outline. */
function outlineOf(members: Members, name: string): Outline {
  return (Object.hasOwn(members, name) ? members[name] : members['*']) ?? false;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
