// Waiting for a signal: one that has already aborted counts, and nothing stays behind on a signal that lives on.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { abortable, aborted, anyOf, onAbort } from '../../../src/process/abort.ts';
import { settle } from '../../support/fake-clock.ts';

const reason = new Error('stopping');
const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

test('onAbort calls its listener once with the reason, at once if the signal has already aborted', () => {
  const stop = new AbortController();
  const heard: unknown[] = [];
  onAbort(stop.signal, (why) => heard.push(why));
  assert.equal(heard.length, 0);
  stop.abort(reason);
  stop.abort(new Error('later'));
  onAbort(stop.signal, (why) => heard.push(why));
  assert.deepEqual(heard, [reason, reason]);
  assert.equal(listenersOf(stop.signal), 0);
});

test('a disposed onAbort is not called and leaves no listener', () => {
  const stop = new AbortController();
  const heard: unknown[] = [];
  {
    using _ = onAbort(stop.signal, (why) => heard.push(why));
    assert.equal(listenersOf(stop.signal), 1);
  }
  assert.equal(listenersOf(stop.signal), 0);
  stop.abort(reason);
  assert.equal(heard.length, 0);
});

test('aborted resolves when the signal aborts, and for one that already has', async () => {
  const stop = new AbortController();
  let resolved = false;
  const waiting = aborted(stop.signal).then(() => {
    resolved = true;
  });
  await settle();
  assert.equal(resolved, false);
  stop.abort(reason);
  await waiting;
  await aborted(stop.signal);
});

test('abortable gives what the work gives and leaves no listener on a signal that lives on', async () => {
  const { signal } = new AbortController();
  assert.equal(await abortable(Promise.resolve('done'), { signal }), 'done');
  await assert.rejects(abortable(Promise.reject(new Error('broken')), { signal }), /broken/);
  assert.equal(listenersOf(signal), 0);
});

test('abortable rejects with the reason of a signal that has already aborted, even if the work is done', async () => {
  await assert.rejects(abortable(Promise.resolve('done'), { signal: AbortSignal.abort(reason) }), reason);
});

test('a joined signal aborts with the reason of the first, and lets go of the others when disposed', () => {
  const [first, second] = [new AbortController(), new AbortController()];
  {
    using joined = anyOf(first.signal, second.signal);
    assert.equal(joined.signal.aborted, false);
    second.abort(reason);
    first.abort(new Error('later'));
    assert.equal(joined.signal.reason, reason);
  }
  const long = new AbortController();
  {
    using joined = anyOf(long.signal, AbortSignal.abort(reason));
    assert.equal(joined.signal.reason, reason);
    assert.equal(listenersOf(long.signal), 1);
  }
  assert.equal(listenersOf(long.signal), 0);
});

test('work that fails after nobody waits for it is no unhandled rejection', async () => {
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
