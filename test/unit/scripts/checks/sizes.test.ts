// The median counts lines as wc does, and belongs to the file in the middle.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { medianLines } from '../../../../scripts/checks/sizes.ts';

test('the median is that of the lines, not of the files as listed', () => {
  const sources = [9, 1, 3, 200, 2].map((lines) => ({ file: 'a.ts', text: 'x\n'.repeat(lines) }));
  assert.equal(medianLines(sources), 3);
  assert.equal(medianLines([]), 0);
});
