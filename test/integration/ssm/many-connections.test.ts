// Ten thousand connections over one session, one after the other and fifty at a time: a leak of one connection would show.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { echo, serve } from '../../driver-suite/destinations.ts';
import { liveMemory } from '../../support/live-memory.ts';
import { asked, dial, local } from './exchange.ts';
import { SsmWorld } from './ssm-world.ts';

const world = await SsmWorld.start();

test('10,000 connections opened and closed through one session leave no stream and no memory behind', async (t) => {
  await world.service.set({ Pace: false });
  const service = await serve(echo);
  try {
    const session = await world.connect(world.driver([local(service)]));
    const run = async (count: number): Promise<void> => {
      let begun = 0;
      const worker = async (): Promise<void> => {
        while (begun < count) {
          begun += 1;
          const words = `connection ${begun}`;
          const stream = await dial(session, local(service));
          assert.equal(await asked(stream, words), words);
          stream.destroy();
        }
      };
      await Promise.all(Array.from({ length: 50 }, worker));
      await eventually('the destination has no connection', () => service.connections.size === 0);
    };
    // Code that is loaded and compiled once is no leak.
    await run(500);
    const streamsBefore = (await world.service.seen()).streams;
    const [before, resident] = [liveMemory(), process.memoryUsage.rss()];
    const began = performance.now();
    await run(10_000);
    const seconds = (performance.now() - began) / 1_000;
    // The deadlines of the last dials, 10 s, have not passed yet.
    let after = liveMemory();
    await eventually('the memory is given back', () => {
      after = liveMemory();
      return after - before < 4 * 1024 * 1024;
    });
    const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
    t.diagnostic(
      `${seconds.toFixed(1)} s, ${(10_000 / seconds).toFixed(0)} a second; live ${mebibytes(before)} → ${mebibytes(after)} MiB, ` +
        `resident ${mebibytes(resident)} → ${mebibytes(process.memoryUsage.rss())} MiB`,
    );
    // The driver's own questions have no connection here that could be seen to end.
    await eventually('the agent has no stream', async () => (await world.service.seen()).open === 0);
    const { streams, sessions, complaints } = await world.service.seen();
    // If the agent sends nothing for 5 s, e.g. because its machine is busy, the driver opens a stream of its own as a question.
    const own = streams - streamsBefore - 10_000;
    assert.ok(own >= 0 && own <= 5, `each connection is a stream of the agent: ${own} too many`);
    assert.equal(session.streams, 0);
    assert.equal(sessions.length, 1, 'all went over one session');
    assert.equal(complaints, null);
  } finally {
    await service.stop();
  }
});
