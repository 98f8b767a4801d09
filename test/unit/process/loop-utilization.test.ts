// What counts as idle where something else than the event loop waits.
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { countingWaits, withWaited } from '../../../src/process/loop-utilization.ts';

/** What whoever is set up now would keep. */
const current = () => Reflect.get(performance, 'eventLoopUtilization') as typeof performance.eventLoopUtilization;

describe('loop utilization', () => {
  test('takes a wait from the work and never more than all of it', () => {
    const measured = { idle: 100, active: 300, utilization: 0.75 };
    assert.deepEqual(withWaited(measured, 100), { idle: 200, active: 200, utilization: 0.5 });
    assert.deepEqual(withWaited(measured, 301), { idle: 400, active: 0, utilization: 0 });
    assert.deepEqual(withWaited({ idle: 0, active: 0, utilization: 0 }, 0), { idle: 0, active: 0, utilization: 0 });
  });

  test('gives the function that counts to whoever is set up, and to nobody else', async () => {
    const own = current();
    let waited = 0;
    let kept = own;
    countingWaits(
      () => waited,
      () => {
        kept = current();
      },
    );
    assert.equal(current(), own);
    // Node has no figures before the loop has gone round.
    await sleep(2);
    const before = kept();
    waited = Number.MAX_VALUE;
    const after = kept();
    assert.ok(before.active > 0);
    assert.equal(after.active, 0);
    assert.ok(kept(after, before).idle > 0);
    const since = kept(before);
    assert.equal(since.active, -before.active);
    assert.ok(since.idle >= before.active);
    assert.throws(() => countingWaits(() => 0, assert.fail));
    assert.equal(current(), own);
    countingWaits(undefined, () => assert.equal(current(), own));
  });
});
