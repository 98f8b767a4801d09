import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Case, speed } from '../../bench/figures.ts';
import { Results, table } from '../../bench/report.ts';

const cases = {
  upload: speed(10),
  'round-trip': { unit: 'ms p50', better: 'less', budget: { differenceAtMost: 0.15 } },
  'many-sessions': { ...speed(1.8), peer: 'one session of ours' },
  memory: { unit: 'MiB', better: 'less', budget: { atMost: 110 } },
} as const satisfies Record<string, Case>;
type Name = keyof typeof cases;

/** Results of rounds of [ours, theirs]; no theirs: nobody to compare with. */
function measured(name: Name, rounds: readonly (readonly [number, number?])[]): Results<Name> {
  const results = new Results<Name>(cases);
  for (const [ours, theirs] of rounds) {
    results.add('ours', { [name]: ours });
    if (theirs !== undefined) results.add('theirs', { [name]: theirs });
  }
  return results;
}

const all = (): boolean => true;
const verdict = (results: Results<Name>): string => table(results.rows(all, 'peer'), cases).split('\n')[1] ?? '';

test('a row pairs the rounds and shows the spread of their ratios', () => {
  const rows = measured('upload', [
    [10, 1],
    [30, 2],
    [12, 1],
  ]).rows(all, 'session-manager-plugin');
  assert.deepEqual(rows, [
    {
      case: 'upload',
      peer: 'session-manager-plugin',
      unit: 'MB/s',
      better: 'more',
      ours: [10, 30, 12],
      theirs: [1, 2, 1],
      ratio: { min: 10, median: 12, max: 15 },
    },
  ]);
});

test('the median of an even number of rounds lies between the middle two', () => {
  const [row] = measured('upload', [
    [1, 1],
    [2, 1],
    [4, 1],
    [8, 1],
  ]).rows(all, 'peer');
  assert.equal(row?.ratio?.median, 3);
});

test('a case may have a peer of its own, or none, and then no ratio', () => {
  assert.equal(measured('many-sessions', [[2, 1]]).rows(all, 'peer')[0]?.peer, 'one session of ours');
  const [alone] = measured('memory', [[90]]).rows(all, 'peer');
  assert.deepEqual([alone?.peer, alone?.theirs, alone?.ratio], [null, [], null]);
});

test('what was not asked for, or not measured, has no row', () => {
  assert.deepEqual(
    measured('upload', [[1, 1]]).rows((name) => name !== 'upload', 'peer'),
    [],
  );
});

test('a budget is judged by the median, and a comparison over fewer than nine rounds is marked', () => {
  const nine = (ours: number, theirs?: number): [number, number?][] =>
    Array.from({ length: 9 }, () => (theirs === undefined ? [ours] : [ours, theirs]));
  assert.match(verdict(measured('upload', nine(10, 1))), /≥ 10 × +met$/);
  assert.match(verdict(measured('upload', nine(9.9, 1))), /≥ 10 × +NOT MET$/);
  assert.match(verdict(measured('upload', nine(10))), /≥ 10 × +NOT MET$/);
  assert.match(verdict(measured('round-trip', nine(1.1, 1))), /met$/);
  assert.match(verdict(measured('round-trip', nine(1.2, 1))), /NOT MET$/);
  assert.match(verdict(measured('memory', nine(110))), /≤ 110 MiB +met$/);
  assert.match(verdict(measured('memory', nine(111))), /NOT MET$/);
  assert.match(verdict(measured('upload', [[10, 1]])), /met \(1 of 9 rounds\)$/);
  assert.match(verdict(measured('memory', [[90]])), / met$/);
});
