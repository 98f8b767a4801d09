// A pause that a signal ends, and that leaves nothing behind.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { sleep } from '../../../src/process/clock.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

test('a sleep that is aborted rejects at once with the reason, and one already aborted never starts', async () => {
  const stop = new AbortController();
  const reason = new Error('stopping');
  const slept = sleep(60_000, { signal: stop.signal });
  stop.abort(reason);
  await assert.rejects(slept, (error) => error === reason);
  await assert.rejects(sleep(60_000, { signal: stop.signal }), (error) => error === reason);
});

test('a sleep that ends, early or not, leaves no timer and no listener on a signal that lives on', async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  const slept = sleep(50, { signal, clock });
  await settle();
  assert.deepEqual([clock.pending, getEventListeners(signal, 'abort').length], [1, 1]);
  await clock.advance(50);
  await slept;
  assert.deepEqual([clock.pending, getEventListeners(signal, 'abort').length], [0, 0]);
  const stop = new AbortController();
  const ended = sleep(50, { signal: stop.signal, clock });
  stop.abort(new Error('stopping'));
  await assert.rejects(ended, /stopping/);
  assert.equal(clock.pending, 0);
});
