// What a stream of the helper holds while its client reads nothing. The helper is a unix socket that sends without end.
// Neighbour: test/integration/fly/thousand.test.ts has a thousand such clients.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../../../../../src/process/clock.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import { FrameMemory } from '../../../../../src/sidecar/drivers/fly/helper/frame-memory.ts';
import { dataFrames } from '../../../../../src/sidecar/drivers/fly/helper/frames.ts';
import { type HelperStream, openStream } from '../../../../../src/sidecar/drivers/fly/helper/stream.ts';
import { flood } from '../../../../driver-suite/destinations.ts';

const frame = Buffer.concat(dataFrames([Buffer.alloc(16 * 1024)]));
/** More than a read that is ready takes. */
const turns = 100;

async function streamOfFlood(t: TestContext): Promise<HelperStream> {
  const directory = mkdtempSync(join(tmpdir(), 'pf-stream-'));
  const socketPath = join(directory, 'streams.sock');
  const server = createServer((socket) => {
    socket.on('error', () => undefined).write('{}\n');
    flood(socket, frame);
  }).listen(socketPath);
  await once(server, 'listening');
  const budget = new ByteBudget();
  const request = { socketPath, token: '', device: '', address: '::1', port: 1, timeoutMs: 1_000 };
  const owner = { signal: t.signal, budget, clock: systemClock, memory: new FrameMemory(budget) };
  const stream = await openStream(request, owner);
  t.after(() => {
    stream.destroy();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return stream;
}

test('a stream that lends its bytes reads nothing while it is paused, and goes on', async (t) => {
  const stream = await streamOfFlood(t);
  const lent: number[] = [];
  stream.lendTo(({ length }) => {
    lent.push(length);
    stream.pause();
  });
  for (const round of [1, 2, 3]) {
    stream.resume();
    while (lent.length < round) await turn();
    for (let left = turns; left > 0; left -= 1) await turn();
    assert.equal(lent.length, round);
    assert.equal(stream.readableLength, 0);
  }
});
