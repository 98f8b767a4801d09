// Bytes of many streams lie in the same memory, one after the other, while clients and the helper take them: none is overwritten before it has
// left, however slowly that is. Neighbour: test/unit/sidecar/clients/lent-bytes.test.ts has the rule itself.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { client, untilConnected } from '../sidecar/sidecar-world.ts';
import { flyPlace } from './fly-sidecar.ts';

const connections = 12;
/** More than all buffers on the way. */
const length = 6 * 1024 * 1024;

/** All that the socket sends. Reads little, lets others go on, and reads again. */
async function slowly(socket: Socket): Promise<Buffer> {
  const got: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    got.push(chunk);
    for (let turns = got.length % 7; turns > 0; turns -= 1) await turn();
  }
  return Buffer.concat(got);
}

test('clients that read slowly, and one that reads nothing for a while, get what they sent', async (t) => {
  const { open } = await flyPlace(t);
  const sidecar = await open({ health: 'Off' });
  await untilConnected(sidecar);
  const begun = performance.now();
  let others = connections - 1;
  const { promise: through, resolve } = Promise.withResolvers<void>();
  await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const socket = await client(sidecar);
      const sent = randomBytes(length);
      socket.end(sent);
      // The first one reads when all others are through.
      if (index === 0) await through;
      const got = await slowly(socket);
      assert.equal(got.length, sent.length);
      assert.ok(got.equals(sent), 'the bytes that came back are those that were sent');
      if (index > 0) others -= 1;
      if (others === 0) resolve();
    }),
  );
  t.diagnostic(`${connections * length} bytes there and back in ${Math.round(performance.now() - begun)} ms`);
});
