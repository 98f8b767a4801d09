// Delays before retries: they double, stay under the cap and are spread out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Backoff, backoffDelay } from '../../../src/process/backoff.ts';

test('delays double up to the cap when nothing is random', () => {
  const backoff = new Backoff({ initialMs: 100, maxMs: 1_000, random: () => 0 });
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map(() => backoff.next()),
    [100, 200, 400, 800, 1_000, 1_000],
  );
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test('a delay is never over the cap, never below its unrandom share and always a number', () => {
  fc.assert(
    fc.property(
      fc.nat(100_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, jitter, at) => {
        const delay = backoffDelay(attempt, { initialMs: 100, maxMs: 300_000, jitter, random: () => at });
        assert.ok(
          delay <= 300_000 && delay >= Math.min(300_000, 100 * 2 ** attempt) * (1 - jitter) && Number.isFinite(delay),
        );
      },
    ),
  );
});
