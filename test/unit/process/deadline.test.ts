// A limited wait: which end came first is known, and neither a timer nor a listener outlives it.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { DeadlineExceeded, deadline, outlasting } from '../../../src/process/deadline.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const reason = new Error('stopping');
const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

test('a deadline aborts when its time is over, with a reason that names the wait', async () => {
  const clock = new FakeClock();
  using limit = deadline(50, { clock, what: 'the answer' });
  await clock.advance(49);
  assert.deepEqual([limit.signal.aborted, limit.expired], [false, false]);
  await clock.advance(1);
  assert.deepEqual([limit.signal.aborted, limit.expired], [true, true]);
  assert.ok(limit.signal.reason instanceof DeadlineExceeded);
  assert.equal(limit.signal.reason.message, 'the answer took longer than 50 ms');
});

test('a deadline takes a reason of its own, made when the time is over', async () => {
  const clock = new FakeClock();
  using limit = deadline(50, { clock, reason: () => new Error(`late at ${clock.now()}`) });
  await clock.advance(60);
  assert.equal((limit.signal.reason as Error).message, 'late at 50');
});

test('what ends it early keeps its own reason, and the deadline does not count as expired', async () => {
  const clock = new FakeClock();
  const [one, other] = [new AbortController(), new AbortController()];
  using limit = deadline(50, { clock, what: 'x', signal: [one.signal, other.signal] });
  other.abort(reason);
  await clock.advance(100);
  assert.deepEqual([limit.signal.reason, limit.expired], [reason, false]);
});

test('a signal that has already aborted ends it at once', async () => {
  const clock = new FakeClock();
  using limit = deadline(50, { clock, what: 'x', signal: AbortSignal.abort(reason) });
  assert.equal(limit.signal.reason, reason);
  await clock.advance(50);
  assert.deepEqual([limit.signal.reason, limit.expired], [reason, false]);
});

test('a disposed deadline leaves no timer and no listener on a signal that lives on', async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  let limited: AbortSignal;
  {
    using limit = deadline(50, { clock, what: 'x', signal });
    limited = limit.signal;
    assert.deepEqual([clock.pending, listenersOf(signal)], [1, 1]);
  }
  assert.deepEqual([clock.pending, listenersOf(signal)], [0, 0]);
  await clock.advance(100);
  assert.equal(limited.aborted, false);
});

test('work that outlasts its caller gets the grace, then the caller’s reason', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const seen: unknown[] = [];
  const working = outlasting(50, { signal: stop.signal, clock }, async (signal) => {
    stop.abort(reason);
    await clock.advance(49);
    seen.push(signal.aborted);
    await clock.advance(1);
    seen.push(signal.reason);
    return 'answer';
  });
  assert.equal(await working, 'answer');
  assert.deepEqual(seen, [false, reason]);
});

test('outlasting work that ends leaves no timer and no listener, and never starts for a signal that has already aborted', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  await assert.rejects(
    outlasting(50, { signal: stop.signal, clock }, () => Promise.reject(new Error('broken'))),
    /broken/,
  );
  assert.equal(listenersOf(stop.signal), 0);
  await outlasting(50, { signal: stop.signal, clock }, async () => stop.abort(reason));
  assert.equal(clock.pending, 0);
  let started = false;
  const late = outlasting(50, { signal: stop.signal, clock }, async () => {
    started = true;
  });
  await assert.rejects(late, reason);
  assert.equal(started, false);
});
