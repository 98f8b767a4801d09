import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { StartThrottle } from '../../../../../../src/sidecar/drivers/ssm/aws/start-throttle.ts';

const never = new AbortController().signal;

test('sessions are started one after the other, with a pause between, whether each succeeds or not', async () => {
  const gate = new StartThrottle(() => 0);
  const order: string[] = [];
  const ends: number[] = [];
  const start = (name: string, fails: boolean) => async (): Promise<string> => {
    order.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 10));
    order.push(`${name} ends`);
    ends.push(performance.now());
    if (fails) throw new Error(name);
    return name;
  };
  const first = gate.pass(start('first', true), never);
  const second = gate.pass(start('second', false), never);
  await assert.rejects(first, /first/);
  assert.equal(await second, 'second');
  assert.deepEqual(order, ['first begins', 'first ends', 'second begins', 'second ends']);
  assert.ok((ends[1] ?? 0) - (ends[0] ?? 0) >= 50);
});

test('an aborted start leaves the queue at once and holds up nobody', async () => {
  const gate = new StartThrottle(() => 0);
  let release: () => void = () => undefined;
  const first = gate.pass(
    () =>
      new Promise<void>((resolve) => {
        release = resolve;
      }),
    never,
  );
  const stop = new AbortController();
  const second = gate.pass(async () => assert.fail('it was started after all'), stop.signal);
  const third = gate.pass(async () => 'third', never);
  stop.abort(new Error('not wanted'));
  await assert.rejects(second, /not wanted/);
  release();
  await first;
  assert.equal(await third, 'third');
});

test('while AWS throttles the pause grows, and no start fails', async (t) => {
  const gate = new StartThrottle(() => 0.5);
  let lastAt = Number.NEGATIVE_INFINITY;
  let throttled = 0;
  const start = async (): Promise<void> => {
    const gap = performance.now() - lastAt;
    lastAt = performance.now();
    if (gap >= 300) return;
    throttled += 1;
    throw new TunnelError('Throttled', 'too soon');
  };
  await Promise.all(Array.from({ length: 5 }, () => gate.pass(start, never)));
  // With the initial pause no start would come late enough, except on a busy machine.
  t.diagnostic(`${throttled} throttled`);
  assert.ok(throttled <= 4, `${throttled} throttled`);
});

test('a start that is throttled again and again fails with that reason', async () => {
  const gate = new StartThrottle(() => -0.49);
  let starts = 0;
  const throttled = async (): Promise<void> => {
    starts += 1;
    throw new TunnelError('Throttled', 'too soon');
  };
  await assert.rejects(gate.pass(throttled, never), /too soon/);
  assert.equal(starts, 4);
});
