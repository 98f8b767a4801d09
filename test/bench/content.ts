// The content of the benchmark's bulk transfers: the same incompressible bytes in each of its processes, so that a sink can check them by
// a digest alone. Neighbours: destination.ts and load.ts send and check it.
import { createCipheriv, createHash } from 'node:crypto';

/** 1 MiB of AES keystream. A transfer repeats it; compressors that ssh knows look back 32 KiB. */
const block = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(2 ** 20));
// No line feed: AWS's plugin rewrites a message that is nothing else.
for (let at = block.indexOf(0x0a); at >= 0; at = block.indexOf(0x0a, at)) block[at] = 0x0b;

/** How much is handed to the kernel at once. */
const sliceBytes = 256 * 1024;

/** The bytes of a transfer from `offset` on, at most one slice. */
export function slice(offset: number, total: number): Buffer {
  const start = offset % block.length;
  return block.subarray(start, Math.min(start + sliceBytes, start + total - offset));
}

/** SHA-256 of a transfer of that many bytes. */
export function digestOf(total: number): Buffer {
  const hash = createHash('sha256');
  for (let offset = 0; offset < total; ) {
    const bytes = slice(offset, total);
    hash.update(bytes);
    offset += bytes.length;
  }
  return hash.digest();
}

/** The first bytes of a connection tell the destination what to do: `D`ownload, `U`pload or `E`cho, and how many bytes. */
export const headerBytes = 9;

export function header(kind: 'D' | 'U' | 'E', bytes = 0): Buffer {
  const text = Buffer.alloc(headerBytes, kind, 'latin1');
  text.writeBigUInt64BE(BigInt(bytes), 1);
  return text;
}
