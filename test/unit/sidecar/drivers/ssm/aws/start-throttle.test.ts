import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { sleep } from '../../../../../../src/process/clock.ts';
import { StartThrottle } from '../../../../../../src/sidecar/drivers/ssm/aws/start-throttle.ts';
import { FakeClock } from '../../../../../support/fake-clock.ts';

const never = new AbortController().signal;

test('sessions are started one after the other, with a pause between, whether each succeeds or not', async () => {
  const clock = new FakeClock();
  const gate = new StartThrottle(clock, () => 0);
  const order: string[] = [];
  const start = (name: string, fails: boolean) => async (): Promise<string> => {
    order.push(`${name} begins at ${clock.now()}`);
    await sleep(10, { clock });
    order.push(`${name} ends at ${clock.now()}`);
    if (fails) throw new Error(name);
    return name;
  };
  const first = assert.rejects(gate.pass(start('first', true), never), /first/);
  const second = gate.pass(start('second', false), never);
  await clock.advance(200);
  await first;
  assert.equal(await second, 'second');
  assert.deepEqual(order, ['first begins at 0', 'first ends at 10', 'second begins at 60', 'second ends at 70']);
  assert.equal(clock.pending, 0);
});

test('an aborted start leaves the queue at once and holds up nobody', async () => {
  const clock = new FakeClock();
  const gate = new StartThrottle(clock, () => 0);
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const first = gate.pass(() => promise, never);
  const stop = new AbortController();
  const second = gate.pass(async () => assert.fail('it was started after all'), stop.signal);
  const third = gate.pass(async () => 'third', never);
  stop.abort(new Error('not wanted'));
  await assert.rejects(second, /not wanted/);
  release();
  await first;
  await clock.advance(50);
  assert.equal(await third, 'third');
});

test('while AWS throttles the pause grows, and no start fails', async () => {
  const clock = new FakeClock();
  const gate = new StartThrottle(clock, () => 0.5);
  let lastAt = Number.NEGATIVE_INFINITY;
  let throttled = 0;
  const start = async (): Promise<void> => {
    const gap = clock.now() - lastAt;
    lastAt = clock.now();
    if (gap >= 300) return;
    throttled += 1;
    throw new TunnelError('Throttled', 'too soon');
  };
  const all = Promise.all(Array.from({ length: 5 }, () => gate.pass(start, never)));
  await clock.advance(5_000);
  await all;
  // 100 ms after the first, and 200 after that; then 400, 360 and 324 are enough, and 291 are not.
  assert.equal(throttled, 3);
});

test('a start that is throttled again and again fails with that reason, after 1.4 s of pauses', async () => {
  const clock = new FakeClock();
  const gate = new StartThrottle(clock, () => 0.5);
  const starts: number[] = [];
  const throttled = async (): Promise<void> => {
    starts.push(clock.now());
    throw new TunnelError('Throttled', 'too soon');
  };
  const refused = assert.rejects(gate.pass(throttled, never), /too soon/);
  await clock.advance(1_400);
  await refused;
  assert.deepEqual(starts, [0, 200, 600, 1_400]);
});
