// The safety net that looks at everything from time to time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resync } from '../../../src/controller/resync.ts';

test('every key is added again with low priority, until the signal aborts', async () => {
  const stop = new AbortController();
  const added: string[] = [];
  const queue = {
    add: (key: string, options: { readonly priority?: string } = {}) => {
      assert.equal(options.priority, 'low');
      added.push(key);
      if (added.length === 4) stop.abort();
    },
  };
  await resync({ keys: () => ['a/b', 'a/c'] }, queue, stop.signal, 5);
  assert.deepEqual(added, ['a/b', 'a/c', 'a/b', 'a/c']);
});

test('it ends at once when asked to stop', async () => {
  const stop = new AbortController();
  const running = resync({ keys: () => [] }, { add: () => assert.fail('nothing is due') }, stop.signal);
  stop.abort();
  await running;
});
