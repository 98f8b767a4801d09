// The memory of ssh2's AES-GCM packets: those that we send are made one behind the other in memory that is used again, padded from a pool
// of random bytes; of those that we get, it is known whether they show where they end.
// Neighbours: ssh2-protocol.ts has the internals, ssh2-hardening.ts and channels/session.ts call it, lent-reads.ts cuts packets.
import { randomFillSync } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Client } from 'ssh2';
import type { PacketEnds } from './lent-reads.ts';
import { type Cipher, protocolOf } from './ssh2-protocol.ts';

/** True between two packets of the native AES-GCM, which decrypts a packet where it lies; its length is not encrypted (RFC 5647 §7.2). */
export function packetEnds(client: Client): PacketEnds {
  const protocol = protocolOf(client);
  return {
    get visible() {
      const { _decipher: decipher } = protocol;
      return decipher?._instance !== undefined && decipher._tag !== undefined && decipher._lenBytes === 0;
    },
  };
}

const gcmBlockBytes = 16;
const pool = Buffer.allocUnsafe(16 * 1024);
let poolUsed = pool.length;

/** Smaller packets share memory already: Node's own pool. */
const largeBytes = 4096;

/** Streams wait at 256 KiB in the queue of the socket (channels/transmit-gate.ts): one slab takes what is sent until then. */
const outgoingBytes = 320 * 1024;

/** Large packets are written in the turn in which they are made; once nothing waits in the socket's queue, nobody needs them any more. */
class Outgoing {
  readonly #socket: Duplex;
  #slab: Buffer | undefined;
  #used = 0;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  alloc(bytes: number): Buffer {
    if (this.#socket.writableLength === 0) this.#used = 0;
    if (this.#slab === undefined || this.#used + bytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(outgoingBytes);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += bytes;
    return this.#slab.subarray(at, this.#used);
  }
}

/**
 * Makes packets with one system call for random bytes per thousand instead of one each (2.6 µs, measured), and large ones in a slab.
 * RFC 5647 §7.2, RFC 4253 §6.
 */
export function packInSlab(cipher: Cipher, socket: Duplex): void {
  const probe = cipher.allocPacket(0);
  // The native cipher writes its tag after the packet, into the same buffer; the JavaScript one does not, and keeps what it gets.
  const tagBytes = probe.length - 4 - probe.readUInt32BE(0);
  const outgoing = tagBytes > 0 ? new Outgoing(socket) : undefined;
  cipher.allocPacket = (payloadBytes) => {
    let padding = gcmBlockBytes - ((1 + payloadBytes) % gcmBlockBytes);
    if (padding < 4) padding += gcmBlockBytes;
    const length = 1 + payloadBytes + padding;
    const bytes = 4 + length + tagBytes;
    const packet =
      bytes < largeBytes ? Buffer.allocUnsafe(bytes) : (outgoing?.alloc(bytes) ?? Buffer.allocUnsafe(bytes));
    packet.writeUInt32BE(length, 0);
    packet[4] = padding;
    if (poolUsed + padding > pool.length) {
      randomFillSync(pool);
      poolUsed = 0;
    }
    pool.copy(packet, 5 + payloadBytes, poolUsed, poolUsed + padding);
    poolUsed += padding;
    return packet;
  };
}
