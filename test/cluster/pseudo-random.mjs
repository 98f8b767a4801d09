// Bytes that cannot be compressed and are the same in every process: a counter under AES.
import { createCipheriv } from 'node:crypto';

const blockSize = 64 * 1024;
const zeros = Buffer.alloc(blockSize);

/** Yields blocks that add up to `bytes`. */
export function* pseudoRandom(bytes) {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16, 9));
  for (let left = bytes; left > 0; left -= blockSize)
    yield cipher.update(left >= blockSize ? zeros : zeros.subarray(0, left));
}
