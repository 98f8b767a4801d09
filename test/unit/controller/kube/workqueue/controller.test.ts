import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ApiError } from '../../../../../src/controller/kube/base/api-error.ts';
import { kubeMetrics } from '../../../../../src/controller/kube/base/metrics.ts';
import { Controller, type Reconcile } from '../../../../../src/controller/kube/workqueue/controller.ts';
import { WorkQueue } from '../../../../../src/controller/kube/workqueue/work-queue.ts';
import { systemClock } from '../../../../../src/process/clock.ts';
import { createLog } from '../../../../../src/process/log.ts';
import { Registry } from '../../../../../src/process/metrics.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

function controllerOf(
  reconcile: Reconcile,
  options: { concurrency?: number; deadlineMs?: number; drainMs?: number } = {},
) {
  const clock = new FakeClock();
  const registry = new Registry();
  const metrics = kubeMetrics(registry);
  const queue = new WorkQueue({ name: 'test', metrics, clock, random: () => 0 });
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'debug',
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const controller = new Controller({
    name: 'test',
    group: 'g',
    kind: 'Thing',
    queue,
    reconcile,
    metrics,
    log,
    clock,
    ...options,
  });
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  const count = async (series: string): Promise<string> =>
    (await registry.metrics())
      .split('\n')
      .find((line) => line.startsWith(`${series} `) || line.startsWith(`${series}{`)) ?? 'absent';
  const result = async (name: string): Promise<string> =>
    await count(`controller_runtime_reconcile_total{controller="test",result="${name}"}`);
  return { clock, queue, lines, running, stop, count, result };
}

test('a reconcile that succeeds is counted and its key not tried again', async () => {
  const keys: string[] = [];
  const { clock, queue, result, stop, running, lines } = controllerOf(async (key, { log }) => {
    keys.push(key);
    log.info('seen');
    return {};
  });
  assert.match(await result('requeue'), / 0$/);
  queue.add('ns/a');
  await clock.advance(1_000_000);
  assert.deepEqual(keys, ['ns/a']);
  assert.match(await result('success'), / 1$/);
  const [line] = lines;
  assert.ok(line);
  const { controller, controllerGroup, controllerKind, namespace, name, reconcileID } = line;
  assert.deepEqual(
    { controller, controllerGroup, controllerKind, namespace, name },
    { controller: 'test', controllerGroup: 'g', controllerKind: 'Thing', namespace: 'ns', name: 'a' },
  );
  assert.match(String(reconcileID), /^[0-9a-f-]{36}$/);
  stop.abort();
  await running;
});

test('each outcome leads to the queue step and the count of controller-runtime', async () => {
  const outcomes: Record<string, () => Promise<{ requeueAfterMs?: number }>> = {
    later: async () => ({ requeueAfterMs: 5_000 }),
    fails: async () => {
      throw new Error('again');
    },
    bug: async () => {
      throw new TypeError('undefined is not a function');
    },
  };
  const times = new Map<string, number[]>();
  const harness = controllerOf(async (key) => {
    times.set(key, [...(times.get(key) ?? []), harness.clock.now()]);
    return await (outcomes[key] as () => Promise<object>)();
  });
  const { clock, queue, count, result, stop, running } = harness;
  for (const key of Object.keys(outcomes)) queue.add(key);
  await clock.advance(10_000);
  assert.deepEqual(times.get('later'), [0, 5_000, 10_000]);
  assert.deepEqual(times.get('fails'), [0, 100, 300, 700, 1_500, 3_100, 6_300]);
  assert.match(await result('requeue_after'), / 3$/);
  assert.match(await result('error'), / 14$/);
  assert.match(await count('controller_runtime_reconcile_errors_total'), / 14$/);
  assert.match(await count('controller_runtime_terminal_reconcile_errors_total'), / 0$/);
  assert.match(await count('controller_runtime_reconcile_panics_total'), / 7$/);
  stop.abort();
  await running;
  assert.equal(clock.pending, 0);
});

test('a success ends the backoff of its key', async () => {
  let failures = 2;
  const times: number[] = [];
  const harness = controllerOf(async () => {
    times.push(harness.clock.now());
    if (failures-- > 0) throw new Error('again');
    return {};
  });
  const { clock, queue, stop, running } = harness;
  queue.add('a');
  await clock.advance(1_000);
  failures = 1;
  queue.add('a');
  await clock.advance(1_000);
  assert.deepEqual(times, [0, 100, 300, 1_000, 1_100]);
  stop.abort();
  await running;
});

test('a conflict is tried again without an error in the log', async () => {
  let tries = 0;
  const { clock, queue, lines, stop, running } = controllerOf(async () => {
    if (tries++ === 0) throw new ApiError('PATCH /x', 409, { reason: 'Conflict', message: 'changed' });
    return {};
  });
  queue.add('a');
  await clock.advance(1_000);
  assert.equal(tries, 2);
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['debug'],
  );
  stop.abort();
  await running;
});

test('a reconcile that hangs is aborted at its deadline, counted and tried again', { timeout: 60_000 }, async () => {
  const aborted = Promise.withResolvers<unknown>();
  let tries = 0;
  const { clock, queue, count, stop, running } = controllerOf(
    async (_, { signal }) => {
      if (tries++ > 0) return {};
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      aborted.resolve(signal.reason);
      throw signal.reason;
    },
    { deadlineMs: 20 },
  );
  queue.add('a');
  assert.match(String(await aborted.promise), /the reconcile of a took longer than 20 ms/);
  await clock.advance(1_000);
  assert.equal(tries, 2);
  assert.match(await count('controller_runtime_reconcile_timeouts_total'), / 1$/);
  stop.abort();
  await running;
});

test('no more keys are held than there are workers, and never the same key twice', async () => {
  const running = new Set<string>();
  let most = 0;
  const gates: (() => void)[] = [];
  const harness = controllerOf(
    async (key) => {
      assert.ok(!running.has(key));
      running.add(key);
      most = Math.max(most, running.size);
      await new Promise<void>((resolve) => gates.push(resolve));
      running.delete(key);
      return {};
    },
    { concurrency: 2 },
  );
  for (const key of ['a', 'b', 'c', 'a']) harness.queue.add(key);
  await settle();
  harness.queue.add('a');
  for (let i = 0; i < 10; i++) {
    gates.shift()?.();
    await settle();
  }
  assert.equal(most, 2);
  assert.match(await harness.count('workqueue_depth{name="test",controller="test",priority="0"}'), / 0$/);
  assert.match(await harness.count('controller_runtime_active_workers'), / 0$/);
  harness.stop.abort();
  await harness.running;
});

test('stopping takes no new key, lets the running reconcile end, and loses patience after the drain time', async () => {
  const seen: string[] = [];
  const reasons: unknown[] = [];
  const { clock, queue, stop, running } = controllerOf(
    async (key, { signal }) => {
      seen.push(key);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      reasons.push(signal.reason);
      return {};
    },
    { concurrency: 1, drainMs: 5_000 },
  );
  queue.add('a');
  queue.add('b');
  await settle();
  stop.abort(new Error('stopping'));
  await clock.advance(4_999);
  assert.deepEqual(reasons, []);
  await clock.advance(1);
  await running;
  assert.deepEqual([seen, reasons.map(String)], [['a'], ['Error: stopping']]);
  assert.equal(clock.pending, 0);
});

test('timers and sockets have their turn amid thousands of reconciles that wait for nothing', async () => {
  const passes = 1_000;
  let done = 0;
  const clock = { ...systemClock, now: () => done };
  const metrics = kubeMetrics(new Registry());
  const queue = new WorkQueue({ name: 'test', metrics, clock });
  for (let index = 0; index < passes; index += 1) queue.add(`ns/${index}`);
  const seen: number[] = [];
  const look = (): void => {
    seen.push(done);
    if (done < passes) setImmediate(look);
  };
  setImmediate(look);
  const stop = new AbortController();
  const reconcile = async (): Promise<object> => {
    done += 1;
    return {};
  };
  const log = createLog({ level: 'error', destination: { write: () => undefined } });
  const options = { name: 'test', group: 'g', kind: 'Thing', queue, reconcile, metrics, log, clock, concurrency: 10 };
  const running = new Controller(options).run(stop.signal);
  while (done < passes) await nextTurn();
  stop.abort();
  await running;
  // Each pass takes a millisecond by this clock, and each worker ends the pass that it is in.
  const longest = Math.max(...seen.map((count, index) => count - (seen[index - 1] ?? 0)));
  assert.ok(longest <= 40, `${longest} passes in a row: ${seen.join(' ')}`);
});
