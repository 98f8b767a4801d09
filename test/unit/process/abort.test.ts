import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abortable } from '../../../src/process/abort.ts';
import { settle } from '../../support/fake-clock.ts';

test('work that fails after nobody waits for it is no unhandled rejection', async () => {
  const reason = new Error('not wanted');
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => {
    unhandled.push(error);
  };
  process.on('unhandledRejection', note);
  for (const abortedBefore of [true, false]) {
    const stop = new AbortController();
    const work = Promise.withResolvers<never>();
    if (abortedBefore) stop.abort(reason);
    const waiting = assert.rejects(abortable(work.promise, { signal: stop.signal }), reason);
    stop.abort(reason);
    await waiting;
    work.reject(new Error('too late'));
    await settle();
  }
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});
