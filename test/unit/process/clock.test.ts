import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '../../../src/process/clock.ts';

test('a sleep that is aborted rejects at once with the reason, and one already aborted never starts', async () => {
  const stop = new AbortController();
  const reason = new Error('stopping');
  const slept = sleep(60_000, { signal: stop.signal });
  stop.abort(reason);
  await assert.rejects(slept, (error) => error === reason);
  await assert.rejects(sleep(60_000, { signal: stop.signal }), (error) => error === reason);
});
