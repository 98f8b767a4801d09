// The safety net that looks at everything from time to time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resync } from '../../../src/controller/resync.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const hour = 60 * 60_000;

test('every key is added again every ten hours, spread over ten minutes with low priority, until the signal aborts', async () => {
  const stop = new AbortController();
  const clock = new FakeClock();
  const added: string[] = [];
  const queue = {
    add: (key: string, { priority, afterMs = 0 }: { readonly priority?: string; readonly afterMs?: number } = {}) => {
      assert.equal(priority, 'low');
      assert.ok(afterMs >= 0 && afterMs <= hour / 6, `${afterMs}`);
      added.push(key);
    },
  };
  const running = resync({ keys: () => ['a/b', 'a/c'] }, queue, { signal: stop.signal, clock });
  await clock.advance(9 * hour - 1);
  assert.deepEqual(added, []);
  await clock.advance(2 * hour + 1);
  assert.deepEqual(added, ['a/b', 'a/c']);
  await clock.advance(11 * hour);
  assert.deepEqual(added, ['a/b', 'a/c', 'a/b', 'a/c']);
  stop.abort();
  await running;
  assert.equal(clock.pending, 0);
});

test('it ends at once when asked to stop', async () => {
  const stop = new AbortController();
  const running = resync({ keys: () => [] }, { add: () => assert.fail('nothing is due') }, { signal: stop.signal });
  stop.abort();
  await running;
});
