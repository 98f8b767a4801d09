// The order of the monkey's disturbances, and docs/reliability.md, which has a row for each.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type DisturbanceName, disturbances } from '../../faults/disturbances.ts';
import { shuffled } from '../../faults/monkey.ts';
import { assertEvery } from '../../support/assert-every.ts';

const names = Object.keys(disturbances) as DisturbanceName[];

test('a seed gives the same order of all disturbances each time, another seed another one', () => {
  assert.deepEqual(shuffled(names, 7), shuffled(names, 7));
  assert.deepEqual(shuffled(names, 7).toSorted(), names.toSorted());
  assert.notDeepEqual(shuffled(names, 7), shuffled(names, 8));
});

test('docs/reliability.md has the longest gap of each disturbance beside the earlier one', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/reliability.md'), 'utf8');
  assertEvery(
    Object.values(disturbances),
    ({ what, gapBeforeMs }) => {
      const row = page.split('\n').find((line) => line.startsWith(`| ${what} |`));
      const [before, now] = (row ?? '')
        .split('|')
        .slice(2, 4)
        .map((cell) => Number.parseFloat(cell));
      return before === gapBeforeMs / 1_000 && now !== undefined && now > 0;
    },
    'each has its row',
  );
});
