// When a route may be tried again, and in which order routes are tried.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { RetrySchedule } from '../../../../src/sidecar/tunnel/retry-schedule.ts';
import { RouteRanking } from '../../../../src/sidecar/tunnel/route-ranking.ts';
import { lost, noLogin, refused, throttled } from './memory-driver.ts';

const inOutage = { startedAt: 0, now: 0, otherSessionCarries: false };
const random = fc.double({ min: 0, max: 0.999_999, noNaN: true });

test('whatever the dice say, a failing route is tried within the bounds of its kind', () => {
  const kinds: readonly (readonly [
    TunnelError,
    dense: readonly [number, number],
    sparse: readonly [number, number],
  ])[] = [
    [refused('a:22'), [100, 1_500], [100, 15_000]],
    [throttled('a:22'), [5_000, 6_000], [5_000, 15_000]],
    [new TunnelError('Throttled', 'Rate exceeded'), [5_000, 6_000], [5_000, 15_000]],
    [noLogin('a:22'), [54_000, 60_000], [54_000, 60_000]],
  ];
  for (const [error, dense, sparse] of kinds) {
    fc.assert(
      fc.property(fc.array(random, { minLength: 20, maxLength: 20 }), (dice) => {
        let die = 0;
        const schedule = new RetrySchedule(() => dice[die++ % dice.length] ?? 0);
        let now = 0;
        while (now < 900_000) {
          schedule.failed(error, { startedAt: now, now, otherSessionCarries: false });
          const wait = Math.round(schedule.nextAt - now);
          const [low, high] = now < 299_000 ? dense : sparse;
          if (now < 299_000 || now > 301_000)
            assert(wait >= low && wait <= high, `${error.code}: ${wait} ms at ${now} ms`);
          now = schedule.nextAt;
        }
      }),
      { numRuns: 20 },
    );
  }
});

test('an attempt that waited for long is followed at once, because its start counts', () => {
  const schedule = new RetrySchedule(() => 0.9);
  for (let i = 0; i < 5; i++) schedule.failed(refused('a:22'), inOutage);
  schedule.failed(refused('a:22'), { ...inOutage, startedAt: 1_000, now: 11_000 });
  assert.equal(schedule.nextAt, 11_100);
});

test('the loss of a session that lived well begins a fresh schedule, an early loss continues the old one', () => {
  const schedule = new RetrySchedule(() => 0.5);
  for (let i = 0; i < 5; i++) schedule.failed(refused('a:22'), inOutage);
  schedule.lost(lost('a:22'), 1_000, 1_000, false);
  assert(schedule.nextAt >= 1_700, `${schedule.nextAt}`);
  schedule.lost(lost('a:22'), 60_000, 100_000, false);
  assert(schedule.nextAt <= 100_300, `${schedule.nextAt}`);
});

test('an outage brings forward what waited in calm, but not what is throttled or needs a person', () => {
  const calm = new RetrySchedule(() => 0.5);
  for (let i = 0; i < 10; i++) calm.failed(refused('a:22'), { ...inOutage, otherSessionCarries: true });
  assert(calm.nextAt > 20_000);
  calm.startNewOutage(1_000);
  assert(calm.nextAt <= 1_300);
  for (const error of [throttled('a:22'), noLogin('a:22')]) {
    const firm = new RetrySchedule(() => 0.5);
    firm.failed(error, inOutage);
    const before = firm.nextAt;
    firm.startNewOutage(1_000);
    firm.expedite(1_000);
    assert.equal(firm.nextAt, before);
  }
});

test('an outage that goes on brings forward what waited in calm until attempts are sparse, and forgets no failure', () => {
  const flapping = new RetrySchedule(() => 0.5);
  for (let i = 0; i < 10; i++) flapping.failed(refused('a:22'), { ...inOutage, otherSessionCarries: true });
  flapping.expedite(1_000);
  assert.equal(flapping.nextAt, 2_000);
  assert.equal(flapping.isSparse(300_000), true);
  flapping.failed(refused('a:22'), { startedAt: 299_000, now: 299_000, otherSessionCarries: true });
  const before = flapping.nextAt;
  flapping.expedite(300_000);
  assert.equal(flapping.nextAt, before);
});

test('a session that was opened and not needed is followed by a pause, but not in an outage nor after silence', () => {
  const schedule = new RetrySchedule(() => 0.5);
  schedule.unneeded(10_000);
  assert.equal(schedule.nextAtWithoutHurry, 11_000);
  assert.equal(schedule.nextAt, 0, 'an outage does not wait');
  schedule.endPause();
  assert.equal(schedule.nextAtWithoutHurry, 0, 'a session fell silent');
  schedule.failed(noLogin('a:22'), inOutage);
  const before = schedule.nextAt;
  schedule.unneeded(10_000);
  assert.equal(schedule.nextAtWithoutHurry, before, 'a longer wait stays');
});

test('routes that failed go last for 60 s, and no route is ever lost or doubled', () => {
  const vias = ['a:22', 'b:22', 'c:22', 'd:22'];
  const routes = vias.map((via) => ({ via }));
  fc.assert(
    fc.property(
      fc.array(fc.record({ via: fc.constantFrom(...vias), at: fc.nat(200_000) })),
      fc.nat(300_000),
      (failures, later) => {
        const ranking = new RouteRanking();
        const times = failures.toSorted((one, other) => one.at - other.at);
        for (const { via, at } of times) ranking.failed(via, at);
        const now = Math.max(later, times.at(-1)?.at ?? 0);
        const order = ranking.order(routes, now).map(({ via }) => via);
        assert.deepEqual(order.toSorted(), vias);
        const penalized = order.map((via) => ranking.isPenalized(via, now));
        assert.deepEqual(
          penalized,
          penalized.toSorted((a, b) => Number(a) - Number(b)),
          'the penalized are last',
        );
        const healthy = order.filter((via) => !ranking.isPenalized(via, now));
        assert.deepEqual(healthy, healthy.toSorted(), 'the others keep their order');
      },
    ),
  );
});

test('a route is trusted at once if it never failed, else after 60 s', () => {
  const ranking = new RouteRanking();
  assert.equal(ranking.trustedAt('a:22', 5), 5);
  ranking.failed('a:22', 1_000);
  assert.equal(ranking.trustedAt('a:22', 61_000), 121_000);
  ranking.failed('a:22', 70_000);
  assert.equal(ranking.trustedAt('a:22', 61_000), 130_000, 'silence after the opening counts');
  ranking.keepOnly(new Set(['b:22']));
  assert.equal(ranking.trustedAt('a:22', 80_000), 80_000);
});

for (const code of ['LoginRefused', 'TokenExpired'] as const) {
  test(`${code}: what worked before is tried again after 8 s, then every 15 s, and an outage does not hurry`, () => {
    const schedule = new RetrySchedule(() => 0.5);
    const error = new TunnelError(code, 'it accepted them before');
    const pauses: number[] = [];
    for (let now = 0; now < 60_000; ) {
      schedule.failed(error, { startedAt: now, now, otherSessionCarries: false });
      schedule.expedite(now);
      schedule.startNewOutage(now);
      pauses.push(schedule.nextAt - now);
      now = schedule.nextAt;
    }
    assert.deepEqual(pauses, [8_400, 15_750, 15_750, 15_750, 15_750]);
    schedule.reset();
    schedule.failed(error, { startedAt: 0, now: 0, otherSessionCarries: false });
    assert.equal(schedule.nextAt, 8_400);
  });
}
