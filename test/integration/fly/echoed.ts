// Whether a connection to an echo carries now. Neighbours: recovery.test.ts, test/faults/fly-bulk.test.ts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';

/** Sends some bytes over the connection and waits until they are back. @throws AssertionError if it closes before that */
export async function echoed(socket: Socket): Promise<void> {
  const sent = randomBytes(32);
  socket.write(sent);
  const got: Buffer[] = [];
  const ended = new AbortController();
  const closed = once(socket, 'close', { signal: ended.signal }).then(() => assert.fail('the connection was closed'));
  // It may close after the bytes.
  closed.catch(() => undefined);
  while (Buffer.concat(got).length < sent.length) {
    const data = once(socket, 'data') as Promise<Buffer[]>;
    got.push(...(await Promise.race([data, closed])));
  }
  ended.abort();
  assert.deepEqual(Buffer.concat(got), sent);
}
