// A gibibyte without repetition, the same each time, in which every byte differs from its neighbours; and services that send and take it.
// Neighbours: ssm-bulk.test.ts, fly-bulk.test.ts.
import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';

const gibibyteLength = 1024 ** 3;

/** The first `length` bytes of it. */
export function gibibyte(length = gibibyteLength): Readable {
  const zeros = Buffer.alloc(256 * 1024);
  const blocks = function* (): Generator<Buffer> {
    for (let left = length; left > 0; left -= zeros.length) yield zeros.subarray(0, Math.min(left, zeros.length));
  };
  return Readable.from(blocks(), { objectMode: false }).pipe(
    createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)),
  );
}

/** SHA-256 of the next `length` bytes of the stream, which does not end it. */
export async function hashOf(stream: AsyncIterable<Buffer>, length = gibibyteLength): Promise<string> {
  const hash = createHash('sha256');
  let left = length;
  for await (const chunk of stream) {
    hash.update(chunk);
    left -= chunk.length;
    if (left <= 0) break;
  }
  assert.equal(left, 0);
  return hash.digest('hex');
}

/** Takes so much and answers with its hash. */
export const upload =
  (length = gibibyteLength) =>
  (socket: Socket): void => {
    const taken = new PassThrough();
    socket.pipe(taken);
    void hashOf(taken, length).then(
      (hash) => socket.write(hash),
      () => socket.destroy(),
    );
  };

/** Sends so much, then ends. */
export const download =
  (length = gibibyteLength) =>
  (socket: Socket): void =>
    void gibibyte(length).pipe(socket);
