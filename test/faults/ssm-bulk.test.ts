// 1 GiB each way over one session at full speed: the service's agents do not pace, and the driver keeps to AWS's message rate as always.
// Over a minute each way, therefore in this folder. Every byte differs from its neighbours, and the hashes of both ends must agree.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { type Service, serve } from '../driver-suite/destinations.ts';
import { dial, local } from '../integration/ssm/exchange.ts';
import { SsmWorld } from '../integration/ssm/ssm-world.ts';
import { download, gibibyte, hashOf, upload } from './gibibyte.ts';

const world = await SsmWorld.start();

for (const [direction, handle] of [
  ['up', upload()],
  ['down', download()],
] as const) {
  test(`1 GiB ${direction} arrives unchanged`, async (t) => {
    await world.service.set({ Pace: false });
    const service: Service = await serve(handle);
    try {
      const expected = await hashOf(gibibyte());
      const stream = await dial(await world.connect(world.driver([local(service)])), local(service));
      const before = performance.now();
      let got: string;
      if (direction === 'up') {
        const answer = once(stream, 'data');
        await pipeline(gibibyte(), stream, { end: false });
        got = String((await answer)[0]);
      } else got = await hashOf(stream);
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
