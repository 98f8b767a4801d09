// Reads of the socket to a bastion into slabs. During the login, and with a cipher that does not show where packets end, each read is
// copied for ssh2; once a session carries bytes over AES-GCM, ssh2 gets whole packets where they lie, and decrypts them there.
// Neighbours: login/tcp-connect.ts makes the socket, channels/session.ts begins, ssh2-packets.ts knows whether packets show their ends.
import { Socket } from 'node:net';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import { Slab } from '../../../base/slab.ts';

const KiB = 1024;

/** The next read goes behind the last one as long as so much of the slab is left. */
const leastReadBytes = 64 * KiB;

/** Of a packet around its counted length (RFC 5647 §7.2). */
const lengthBytes = 4;
const tagBytes = 16;

/** RFC 4253 §6.1 asks for 35,000; ssh2 ends the connection for more. */
const maxPacketBytes = 35_000;

interface Reads {
  room(): Uint8Array;
  /** False: read no more until `resume`. */
  took(bytes: number, into: Uint8Array): boolean;
}

const readsOf = new WeakMap<Socket, { reads: Reads }>();

/** A socket, not connected yet, whose reads can be lent later; until then it behaves like any other. */
export function lendableSocket(): Socket {
  const buffer = Buffer.allocUnsafeSlow(leastReadBytes);
  const own: { reads: Reads } = {
    reads: { room: () => buffer, took: (bytes) => socket.push(Buffer.from(buffer.subarray(0, bytes))) },
  };
  const socket = new Socket({
    onread: { buffer: () => own.reads.room(), callback: (bytes, into) => own.reads.took(bytes, into) },
  });
  readsOf.set(socket, own);
  return socket;
}

export interface PacketEnds {
  /** True while packets show where they end, and ssh2 has got whole ones so far. */
  readonly visible: boolean;
}

/** From its next read on, the 'data' of the socket are parts of slabs: whole packets. Does nothing for another kind of socket. */
export function lendReads(socket: unknown, ends: PacketEnds, budget: ByteBudget): void {
  const own = socket instanceof Socket ? readsOf.get(socket) : undefined;
  if (own !== undefined && socket instanceof Socket) own.reads = new LentReads(socket, own.reads, ends, budget);
}

class LentReads implements Reads {
  readonly #socket: Socket;
  readonly #before: Reads;
  readonly #ends: PacketEnds;
  readonly #budget: ByteBudget;
  #slab: Slab;
  /** Filled before the present one: what was lent of it may still be used in this turn, so that it is free one slab later. */
  #previous: Slab | undefined;
  /** Where the first byte lies that ssh2 has not got, and where the next read goes. */
  #from = 0;
  #to = 0;

  constructor(socket: Socket, before: Reads, ends: PacketEnds, budget: ByteBudget) {
    this.#socket = socket;
    this.#before = before;
    this.#ends = ends;
    this.#budget = budget;
    this.#slab = new Slab(budget);
    socket.once('close', () => {
      this.#previous?.leave();
      this.#slab.leave();
    });
  }

  room(): Uint8Array {
    if (this.#slab.bytes.length - this.#to < leastReadBytes) this.#next();
    return this.#slab.bytes.subarray(this.#to);
  }

  took(bytes: number, into: Uint8Array): boolean {
    // Node reads once more into the buffer that it got before.
    if (into.buffer !== this.#slab.bytes.buffer) return this.#before.took(bytes, into);
    this.#to += bytes;
    const socket = this.#socket;
    if (!this.#ends.visible || socket.readableFlowing !== true || socket.readableLength > 0) return this.#pass();
    const end = this.#endOfWholePackets();
    if (end === this.#from) return true;
    const whole = this.#slab.bytes.subarray(this.#from, end);
    this.#from = end;
    const mayRead = socket.push(whole);
    // Nobody took it at once: it stays as it is, and the next read goes elsewhere.
    if (socket.readableLength > 0) this.#abandon();
    // New keys, for a cipher that hides where packets end.
    if (!this.#ends.visible && this.#from < this.#to) return this.#pass();
    return mayRead;
  }

  /** The rest of the slab, for ssh2 to make sense of; it may keep it. */
  #pass(): boolean {
    const rest = Buffer.from(this.#slab.bytes.subarray(this.#from, this.#to));
    this.#from = this.#to;
    return this.#socket.push(rest);
  }

  #endOfWholePackets(): number {
    const { bytes } = this.#slab;
    let end = this.#from;
    while (this.#to - end >= lengthBytes) {
      const length = bytes.readUInt32BE(end);
      // ssh2 says what is wrong with it.
      if (length > maxPacketBytes) return this.#to;
      const next = end + lengthBytes + length + tagBytes;
      if (next > this.#to) break;
      end = next;
    }
    return end;
  }

  #next(): void {
    const full = this.#slab;
    const { bytes } = full;
    const previous = this.#previous;
    let next = previous;
    if (next === undefined || next.pinned) {
      previous?.leave();
      next = new Slab(this.#budget);
    }
    next.bytes.set(bytes.subarray(this.#from, this.#to), 0);
    this.#to -= this.#from;
    this.#from = 0;
    this.#previous = full;
    this.#slab = next;
  }

  /** Leaves the slab to whoever holds a part of it, and to the garbage collector. */
  #abandon(): void {
    const rest = this.#slab.bytes.subarray(this.#from, this.#to);
    this.#slab = new Slab(this.#budget);
    this.#slab.bytes.set(rest, 0);
    this.#from = 0;
    this.#to = rest.length;
  }
}
