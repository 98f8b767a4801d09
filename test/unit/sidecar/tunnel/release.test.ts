// What the end of a stream makes the tunnel think about: nothing while its session is busy, because that happens for every connection.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../../../support/fake-clock.ts';
import { orders, type World, world } from './memory-driver.ts';

const never = new AbortController().signal;

/** How often the tunnel looks at everything while `work` is done. */
async function looks(w: World, work: () => unknown): Promise<number> {
  let count = 0;
  const unsubscribe = w.tunnel.onChange(() => (count += 1));
  await work();
  await settle();
  unsubscribe();
  return count;
}

test('the end of one of several streams of a session changes nothing, the end of its last one may', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(0);
  const one = await w.tunnel.dial(orders, never);
  const other = await w.tunnel.dial(orders, never);
  assert.equal(await looks(w, () => one.stream.destroy()), 0);
  assert.equal(await looks(w, () => other.stream.destroy()), 1);
});

test('a client that waits for room is carried once any stream ends', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.driver.room = 2;
  w.tunnel.start();
  await w.clock.advance(0);
  // No further session helps.
  w.driver.answers.set('a:22', 'silent');
  const one = await w.tunnel.dial(orders, never);
  await w.tunnel.dial(orders, never);
  const waiting = w.tunnel.dial(orders, never);
  await w.clock.advance(100);
  one.stream.destroy();
  const carried = await waiting;
  assert.equal(carried.stream.destroyed, false);
});

test('a client that waits for room is carried once a client of the native engine ends', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.driver.room = 2;
  w.driver.carriesNatively = true;
  w.tunnel.start();
  await w.clock.advance(0);
  // No further session helps.
  w.driver.answers.set('a:22', 'silent');
  const carrier = w.driver.open[0]?.carrier;
  assert(carrier !== undefined);
  carrier.count(2, 0);
  let carried: boolean | undefined;
  void w.tunnel.dial(orders, never).then(
    ({ stream }) => (carried = !stream.destroyed),
    () => (carried = false),
  );
  await w.clock.advance(1_000);
  assert.equal(carried, undefined, 'it waits');
  carrier.count(-1, 0);
  await w.clock.advance(1_000);
  assert.equal(carried, true);
  carrier.count(-1, 0);
});
