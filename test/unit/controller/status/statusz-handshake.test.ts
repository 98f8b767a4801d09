// The reader and pods whose network swallows every SYN: the deadline covers the TCP handshake too, so such pods delay no others.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Pod } from '../../../../src/controller/kube/base/resources.ts';
import { type ReaderTimings, StatuszReader } from '../../../../src/controller/status/statusz-reader.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { fullListener } from '../../../support/full-listener.ts';
import { carrying, pod, runningStatus } from './observed.ts';

const timeout = 60_000;

const timings: ReaderTimings = {
  changedMs: 500,
  notReadyMs: 2_000,
  longNotReadyMs: 2_000,
  longMs: 600_000,
  readyMs: 10_000,
  readsPerSecond: 300,
  deadlineMs: 2_000,
};

/** A reader on a fake clock. Pods named `open` have a server that answers, the SYNs of all others are swallowed. */
async function rig(t: TestContext) {
  const clock = new FakeClock();
  const full = await fullListener();
  const answered: (() => void)[] = [];
  let asked = 0;
  const server = createServer((_, response) => void response.end(JSON.stringify({ ...carrying, via: `${reads++}` })));
  let reads = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const changes: string[] = [];
  const reader = new StatuszReader({
    originOf: ({ metadata, status }) => {
      if (metadata.name !== 'open') return `http://${status?.podIP}:${full.port}`;
      asked += 1;
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    isOurs: () => true,
    onChange: ({ metadata: { name } }) => {
      changes.push(name);
      if (name === 'open') answered.shift()?.();
    },
    timings,
    clock,
  });
  const stop = new AbortController();
  const running = reader.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    assert.equal(clock.pending, 0, 'no timer is left');
    server.close();
    await full[Symbol.asyncDispose]();
  });
  return {
    clock,
    reader,
    changes,
    asked: () => asked,
    nextAnswer: () => new Promise<void>((resolve) => void answered.push(resolve)),
  };
}

const swallowed = (index: number): Pod => pod({ ...runningStatus, podIP: `127.0.1.${index}` }, `swallowed-${index}`);

test('a read whose SYN is swallowed ends at its deadline', { timeout }, async (t) => {
  const { clock, reader, changes } = await rig(t);
  const one = swallowed(1);
  reader.track(one);
  await clock.advance(timings.changedMs + timings.deadlineMs - 1);
  assert.deepEqual(changes, []);
  await clock.advance(1);
  assert.deepEqual(changes, ['swallowed-1']);
  await clock.advance(timings.notReadyMs + timings.deadlineMs);
  assert.match(reader.reading(one)?.unreadable ?? '', /cannot be read from http:\S+: no answer in time$/);
});

test('64 such pods delay the reads of another by their deadline, no longer', { timeout }, async (t) => {
  const { clock, reader, asked, nextAnswer } = await rig(t);
  for (let index = 0; index < 64; index += 1) reader.track(swallowed(index));
  reader.track(pod(runningStatus, 'open'));
  const longestMs = timings.notReadyMs + timings.deadlineMs;
  for (let round = 1; round <= 5; round += 1) {
    const started = clock.now();
    const answer = nextAnswer();
    while (asked() < round) {
      assert.ok(clock.now() - started <= longestMs, `read ${round} has not begun after ${clock.now() - started} ms`);
      await clock.advance(100);
    }
    // The clock stands still meanwhile, so this takes as long as it takes.
    await answer;
  }
  for (let index = 0; index < 64; index += 1) {
    assert.match(reader.reading(swallowed(index))?.unreadable ?? '', /no answer in time$/);
  }
});
