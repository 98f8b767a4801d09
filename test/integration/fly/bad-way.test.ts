// What a bad way to the gateway does to datagrams never reaches a client: bytes arrive unchanged and in order, both ways at once.
// Neighbour: test/faults/fly-bulk.test.ts sends a GiB over two such ways.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import type { Impairment } from '../../support/fly/fly-gateway.ts';
import { client, untilConnected } from '../sidecar/sidecar-world.ts';
import { flyPlace } from './fly-sidecar.ts';

const length = 512 * 1024;

const ways: Readonly<Record<string, Impairment>> = {
  'a round trip of 200 ms and 0.1 % loss': { seed: 3, delayMs: 100, loss: 0.1 },
  'a round trip of 20 to 320 ms and 0.1 % loss': { seed: 7, delayMs: 10, jitterMs: 150, loss: 0.1 },
  '5 % loss, 5 % out of order, 5 % twice and 1 % damaged': {
    seed: 5,
    delayMs: 2,
    loss: 5,
    reorder: 5,
    duplicate: 5,
    corrupt: 1,
  },
};

suite('bytes are the same after', { concurrency: true }, () => {
  for (const [what, impairment] of Object.entries(ways)) {
    test(what, async (t) => {
      const { world, open } = await flyPlace(t);
      const udp = await world.gateway.relay('127.0.0.1', impairment);
      const sidecar = await open({ fly: { transport: 'UDP' }, gateways: { udp }, health: 'Off' });
      await untilConnected(sidecar, 60_000);
      const socket = await client(sidecar);
      const sent = randomBytes(length);
      const begun = performance.now();
      socket.end(sent);
      const got = await socket.toArray();
      t.diagnostic(`${length} bytes there and back in ${Math.round(performance.now() - begun)} ms`);
      assert.ok(Buffer.concat(got).equals(sent), 'the bytes that came back are those that were sent');
    });
  }
});
