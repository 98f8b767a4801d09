// The far side of a link of the native engine: packets of AES-GCM as RFC 5647 has them, by Node's own crypto, over a socket.
// Neighbours: test/unit/native plays bastions with it.
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Socket } from 'node:net';

const tagBytes = 16;

export interface GcmKey {
  /** 16 or 32 bytes. */
  readonly key: Buffer;
  readonly iv: Buffer;
}

class Counted {
  readonly #key: Buffer;
  readonly #iv: Buffer;

  constructor({ key, iv }: GcmKey) {
    this.#key = key;
    this.#iv = Buffer.from(iv);
  }

  #next(): Buffer {
    const iv = Buffer.from(this.#iv);
    this.#iv.writeBigUInt64BE(BigInt.asUintN(64, this.#iv.readBigUInt64BE(4) + 1n), 4);
    return iv;
  }

  seal(payload: Buffer): Buffer {
    const padding = 16 - ((1 + payload.length) % 16) + 16;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(1 + payload.length + padding);
    const cipher = createCipheriv(this.#key.length === 32 ? 'aes-256-gcm' : 'aes-128-gcm', this.#key, this.#next());
    cipher.setAAD(length);
    const body = cipher.update(Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)]));
    return Buffer.concat([length, body, cipher.final(), cipher.getAuthTag()]);
  }

  open(packet: Buffer): Buffer {
    const decipher = createDecipheriv(this.#key.length === 32 ? 'aes-256-gcm' : 'aes-128-gcm', this.#key, this.#next());
    decipher.setAAD(packet.subarray(0, 4));
    decipher.setAuthTag(packet.subarray(-tagBytes));
    const body = Buffer.concat([decipher.update(packet.subarray(4, -tagBytes)), decipher.final()]);
    return body.subarray(1, body.length - (body[0] ?? 0));
  }
}

export class GcmPeer {
  readonly #socket: Socket;
  #sends: Counted;
  #receives: Counted;
  #read = Buffer.alloc(0);
  readonly #waiting: ((payload: Buffer) => void)[] = [];
  readonly #payloads: Buffer[] = [];

  constructor(socket: Socket, keys: { readonly send: GcmKey; readonly receive: GcmKey }) {
    this.#socket = socket;
    this.#sends = new Counted(keys.send);
    this.#receives = new Counted(keys.receive);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => this.#take(bytes));
  }

  setSendKey(key: GcmKey): void {
    this.#sends = new Counted(key);
  }

  /** From the next packet on. */
  setReceiveKey(key: GcmKey): void {
    this.#receives = new Counted(key);
  }

  /** What is sent; the caller may change it, or write it in parts. */
  seal(payload: Buffer): Buffer {
    return this.#sends.seal(payload);
  }

  send(...payloads: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(payloads.map((payload) => this.seal(payload))));
  }

  /** The next payload, in order. */
  async next(): Promise<Buffer> {
    const ready = this.#payloads.shift();
    if (ready !== undefined) return ready;
    return await new Promise((resolve) => this.#waiting.push(resolve));
  }

  #take(bytes: Buffer): void {
    this.#read = Buffer.concat([this.#read, bytes]);
    while (this.#read.length >= 4) {
      const end = 4 + this.#read.readUInt32BE() + tagBytes;
      if (this.#read.length < end) return;
      const payload = this.#receives.open(this.#read.subarray(0, end));
      this.#read = this.#read.subarray(end);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#payloads.push(payload);
      else waiting(payload);
    }
  }
}

// --- messages of RFC 4254 §5, as a bastion sends them ---

const numbers = (type: number, ...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(1 + 4 * values.length);
  bytes[0] = type;
  values.forEach((value, at) => bytes.writeUInt32BE(value, 1 + 4 * at));
  return bytes;
};
const string = (value: Buffer | string): Buffer => {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

export const confirmation = (channel: number, own: number, window = 2 ** 21, packet = 2 ** 15): Buffer =>
  numbers(91, channel, own, window, packet);
export const refusal = (channel: number, reason: number, text: string): Buffer =>
  Buffer.concat([numbers(92, channel, reason), string(text), string('')]);
export const data = (channel: number, bytes: Buffer | string): Buffer =>
  Buffer.concat([numbers(94, channel), string(bytes)]);
export const eof = (channel: number): Buffer => numbers(96, channel);
export const close = (channel: number): Buffer => numbers(97, channel);

/** The id in a CHANNEL_OPEN of the engine. */
export const channelOf = (open: Buffer): number => open.readUInt32BE(5 + open.readUInt32BE(1));
