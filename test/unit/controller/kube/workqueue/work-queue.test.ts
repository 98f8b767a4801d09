import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kubeMetrics } from '../../../../../src/controller/kube/base/metrics.ts';
import { WorkQueue } from '../../../../../src/controller/kube/workqueue/work-queue.ts';
import { type Gauge, Registry } from '../../../../../src/process/metrics.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

function queueOf() {
  const clock = new FakeClock();
  const registry = new Registry();
  const metrics = kubeMetrics(registry);
  const queue = new WorkQueue({ name: 'test', metrics, clock, random: () => 0 });
  const { signal } = new AbortController();
  const sum = async (gauge: Gauge<'name' | 'controller'>): Promise<number> =>
    (await gauge.get()).values.reduce((total, { value }) => total + value, 0);
  return {
    queue,
    clock,
    registry,
    take: async () => (await queue.take(signal)).key,
    /** Keys that are ready for a worker. */
    depth: () => sum(metrics.queueDepth),
    /** Milliseconds that the keys with workers have been there, in sum. */
    heldMs: async () => 1_000 * (await sum(metrics.unfinishedWork)),
  };
}

test('a key added many times is handed out once', async () => {
  const { queue, take, depth } = queueOf();
  for (let i = 0; i < 5; i++) queue.add('a');
  queue.add('b');
  assert.deepEqual([await take(), await take()], ['a', 'b']);
  assert.equal(await depth(), 0);
});

test('what was just changed goes before first fills, and raises a key that waited among them', async () => {
  const { queue, take } = queueOf();
  queue.add('low1', { priority: 'low' });
  queue.add('low2', { priority: 'low' });
  queue.add('new');
  queue.add('low2');
  queue.add('new', { priority: 'low' });
  assert.deepEqual([await take(), await take(), await take()], ['new', 'low2', 'low1']);
});

test('a key that changes while a worker holds it is handed out again after it is given back, not before', async () => {
  const { queue, take, depth, heldMs, clock } = queueOf();
  queue.add('a');
  await take();
  queue.add('a');
  queue.add('a');
  assert.equal(await depth(), 0);
  queue.done('a');
  assert.equal(await take(), 'a');
  queue.done('a');
  await clock.advance(1_000);
  assert.deepEqual([await depth(), await heldMs()], [0, 0]);
});

test('a delayed key comes at its time, and earlier if it is added earlier', async () => {
  const { queue, clock, depth } = queueOf();
  queue.add('a', { afterMs: 1_000 });
  queue.add('a', { afterMs: 5_000 });
  await clock.advance(999);
  assert.equal(await depth(), 0);
  await clock.advance(1);
  assert.equal(await depth(), 1);

  queue.add('b', { afterMs: 10_000 });
  queue.add('b');
  assert.equal(await depth(), 2);
  assert.equal(clock.pending, 0);
});

test('a delay asked for while a worker holds the key counts from then', async () => {
  const { queue, clock, take, depth } = queueOf();
  queue.add('a');
  await take();
  queue.add('a', { afterMs: 1_000 });
  await clock.advance(600);
  queue.done('a');
  await clock.advance(399);
  assert.equal(await depth(), 0);
  await clock.advance(1);
  assert.equal(await depth(), 1);
});

test('failures of a key wait longer and longer up to five minutes, until it is forgotten', async () => {
  const { queue, clock, take, depth } = queueOf();
  const delayOf = async (): Promise<number> => {
    queue.addRateLimited('a');
    const started = clock.now();
    while ((await depth()) === 0) await clock.advance(100);
    await take();
    queue.done('a');
    return clock.now() - started;
  };
  assert.deepEqual([await delayOf(), await delayOf(), await delayOf()], [100, 200, 400]);
  queue.forget('a');
  assert.equal(await delayOf(), 100);
  for (let i = 0; i < 40; i++) {
    queue.addRateLimited('b');
    await clock.advance(300_000);
  }
  assert.equal(await depth(), 1);
});

test('a worker that waits gets the next key, one that gives up gets none, and closing ends every timer', async () => {
  const { queue, clock, depth } = queueOf();
  const stop = new AbortController();
  const first = queue.take(stop.signal);
  stop.abort(new Error('stop'));
  await assert.rejects(first, /stop/);
  const second = queue.take(new AbortController().signal);
  queue.add('a', { priority: 'low' });
  assert.deepEqual(await second, { key: 'a', priority: 'low' });
  queue.add('b', { afterMs: 10 });
  queue.close();
  queue.done('a');
  queue.add('c');
  assert.deepEqual([clock.pending, await depth()], [0, 0]);
  assert.throws(() => queue.done('a'), /no worker holds a/);
});

test('its series carry the names of controller-runtime and start at zero', async () => {
  const { queue, clock, registry, take } = queueOf();
  const before = await registry.metrics();
  assert.match(before, /^workqueue_depth\{name="test",controller="test",priority="-100"\} 0$/m);
  assert.match(before, /^workqueue_retries_total\{name="test",controller="test"\} 0$/m);
  queue.add('a');
  await take();
  await clock.advance(2_000);
  const during = await registry.metrics();
  assert.match(during, /^workqueue_adds_total\{name="test",controller="test"\} 1$/m);
  assert.match(during, /^workqueue_unfinished_work_seconds\{name="test",controller="test"\} 2$/m);
  assert.match(during, /^workqueue_longest_running_processor_seconds\{name="test",controller="test"\} 2$/m);
  queue.done('a');
  assert.match(await registry.metrics(), /^workqueue_work_duration_seconds_sum\{name="test",controller="test"\} 2$/m);
});

test('whatever is added, taken and given back: no key is held twice, none is lost, none comes before its time', async () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      key,
      priority: fc.constantFrom('normal' as const, 'low' as const),
      afterMs: fc.constantFrom(0, 0, 50, 500),
    }),
    fc.record({ kind: fc.constant('fail' as const), key }),
    fc.record({ kind: fc.constant('take' as const) }),
    fc.record({ kind: fc.constant('done' as const) }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 60, 1_000) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { queue, clock, depth } = queueOf();
      const stop = new AbortController();
      const held = new Set<string>();
      // The earliest time at which each key is owed to a worker.
      const owed = new Map<string, number>();
      const owe = (name: string, at: number): void =>
        void owed.set(name, Math.min(at, owed.get(name) ?? Number.POSITIVE_INFINITY));
      const hand = (name: string): void => {
        assert.ok(!held.has(name), 'held twice');
        assert.ok((owed.get(name) ?? Number.POSITIVE_INFINITY) <= clock.now(), 'before its time');
        owed.delete(name);
        held.add(name);
      };
      const drain = async (): Promise<void> => {
        while ((await depth()) > 0) hand((await queue.take(stop.signal)).key);
      };
      for (const action of steps) {
        if (action.kind === 'add') {
          owe(action.key, clock.now() + action.afterMs);
          queue.add(action.key, action);
        } else if (action.kind === 'fail') {
          owe(action.key, clock.now() + 100);
          queue.addRateLimited(action.key);
        } else if (action.kind === 'take') {
          if ((await depth()) > 0) hand((await queue.take(stop.signal)).key);
        } else if (action.kind === 'done') {
          const [one] = held;
          if (one === undefined) continue;
          held.delete(one);
          queue.done(one);
        } else await clock.advance(action.ms);
      }
      for (let round = 0; round < 20 && owed.size > 0; round++) {
        for (const name of held) queue.done(name);
        held.clear();
        await clock.advance(300_000);
        await drain();
      }
      assert.deepEqual([...owed.keys()], [], 'lost');
      queue.close();
      stop.abort();
      await settle();
      assert.equal(clock.pending, 0);
    }),
    { numRuns: 60 },
  );
});
