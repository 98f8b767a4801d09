// 1 GiB each way over one session at full speed: the service's agents do not pace, and the driver keeps to AWS's message rate as always.
// Over a minute each way, therefore in this folder. Every byte differs from its neighbours, and the hashes of both ends must agree.
import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { type Service, serve } from '../driver-suite/destinations.ts';
import { dial, local } from '../integration/ssm/exchange.ts';
import { SsmWorld } from '../integration/ssm/ssm-world.ts';

const gibibyteLength = 1024 ** 3;
const world = await SsmWorld.start();

/** A gibibyte without repetition, the same each time. */
function gibibyte(): NodeJS.ReadableStream {
  const zeros = Buffer.alloc(256 * 1024);
  const blocks = function* (): Generator<Buffer> {
    for (let left = gibibyteLength; left > 0; left -= zeros.length) yield zeros;
  };
  return Readable.from(blocks(), { objectMode: false }).pipe(
    createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)),
  );
}

async function hashOf(stream: AsyncIterable<Buffer>, length: number): Promise<string> {
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

/** Takes a gibibyte and answers with its hash. */
const upload = (socket: Socket): void => {
  const taken = new PassThrough();
  socket.pipe(taken);
  void hashOf(taken, gibibyteLength).then(
    (hash) => socket.write(hash),
    () => socket.destroy(),
  );
};

const download = (socket: Socket): void => void gibibyte().pipe(socket);

for (const [direction, handle] of [
  ['up', upload],
  ['down', download],
] as const) {
  test(`1 GiB ${direction} arrives unchanged`, async (t) => {
    await world.service.set({ Pace: false });
    const service: Service = await serve(handle);
    try {
      const expected = await hashOf(gibibyte() as AsyncIterable<Buffer>, gibibyteLength);
      const stream = await dial(await world.connect(world.driver([local(service)])), local(service));
      const before = performance.now();
      let got: string;
      if (direction === 'up') {
        const answer = once(stream, 'data');
        await pipeline(gibibyte(), stream, { end: false });
        got = String((await answer)[0]);
      } else got = await hashOf(stream, gibibyteLength);
      const seconds = (performance.now() - before) / 1_000;
      const rss = (process.memoryUsage.rss() / 1024 / 1024).toFixed(0);
      t.diagnostic(`${seconds.toFixed(1)} s, ${(1024 / seconds).toFixed(1)} MiB/s, resident ${rss} MiB`);
      assert.equal(got, expected);
      const { calls, complaints } = await world.service.seen();
      assert.equal(calls['Limited'], undefined, 'the driver sent more messages than AWS takes');
      assert.equal(complaints, null);
    } finally {
      await service.stop();
    }
  });
}
