import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, ApiUnreachable } from '../../../../../src/controller/kube/base/api-error.ts';
import { TokenBucket } from '../../../../../src/controller/kube/base/token-bucket.ts';
import { retryDelay } from '../../../../../src/controller/kube/rest/retry.ts';
import { parseWarnings } from '../../../../../src/controller/kube/rest/warnings.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

const none = (): number => 0;
const answered = (status: number, retryAfterMs?: number): ApiError => new ApiError('GET /x', status, {}, retryAfterMs);
const unreachable = (sent: boolean): ApiUnreachable => new ApiUnreachable('GET /x', new Error('refused'), sent);

test('which failure is tried again depends on whether a second try could do harm', () => {
  const table: [error: unknown, idempotent: boolean, once: boolean][] = [
    [answered(429), true, true],
    [answered(502), true, false],
    [answered(503), true, false],
    [answered(504), true, false],
    [answered(500), false, false],
    [answered(500, 1_000), true, false],
    [answered(400), false, false],
    [answered(401), false, false],
    [answered(403), false, false],
    [answered(404), false, false],
    [answered(409), false, false],
    [answered(410), false, false],
    [answered(422), false, false],
    [unreachable(false), true, true],
    [unreachable(true), true, false],
    [new Error('a bug'), false, false],
  ];
  for (const [error, idempotent, once] of table) {
    const text = String(error);
    assert.equal(retryDelay(error, 'idempotent', 0, none) !== undefined, idempotent, `idempotent: ${text}`);
    assert.equal(retryDelay(error, 'once', 0, none) !== undefined, once, `once: ${text}`);
    assert.equal(retryDelay(error, 'never', 0, none), undefined, `never: ${text}`);
  }
});

test('delays double, never undercut what the server asked for, and end after five', () => {
  const delays = [0, 1, 2, 3, 4, 5].map((attempt) => retryDelay(answered(503, 1_000), 'idempotent', attempt, none));
  assert.deepEqual(delays, [1_000, 1_000, 1_000, 2_000, 4_000, undefined]);
  assert.equal(
    retryDelay(answered(503), 'idempotent', 0, () => 1),
    375,
  );
});

test('warnings are read out of their header', () => {
  assert.deepEqual(parseWarnings('299 - "unknown field \\"spec.x\\"", 299 kube/1.36 "v1beta1 is deprecated"'), [
    'unknown field "spec.x"',
    'v1beta1 is deprecated',
  ]);
  assert.deepEqual(parseWarnings('something else'), []);
});

test('a token bucket lets a burst through, then one per interval, in order', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ perSecond: 10, burst: 2, clock });
  const { signal } = new AbortController();
  const taken: number[] = [];
  for (let i = 0; i < 4; i++) void bucket.take(signal).then(() => taken.push(i));
  await settle();
  assert.deepEqual(taken, [0, 1]);
  assert.equal(bucket.tryTake(), false);
  await clock.advance(100);
  assert.deepEqual(taken, [0, 1, 2]);
  await clock.advance(100);
  assert.deepEqual(taken, [0, 1, 2, 3]);
  assert.equal(Math.round(bucket.waitMs()), 100);
});

test('a wait for a token that is given up gives its place back', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ perSecond: 1, burst: 1, clock });
  const stop = new AbortController();
  assert.equal(await bucket.take(stop.signal), 0);
  const waiting = bucket.take(stop.signal);
  stop.abort(new Error('stop'));
  await assert.rejects(waiting, /stop/);
  assert.equal(clock.pending, 0);
  await clock.advance(1_000);
  assert.equal(bucket.tryTake(), true);
});
