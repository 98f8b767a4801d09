import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type FaultName, faults } from '../../faults/fault-list.ts';
import { cellsOf, withTable } from '../../faults/reliability-page.ts';
import { assertEvery } from '../../support/assert-every.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const page = readFileSync(join(root, 'docs', 'reliability.md'), 'utf8');
const lines = page.split('\n');

describe('docs/reliability.md', () => {
  test('has one row with figures for each fault that the suite makes, and no other', () => {
    assertEvery(
      Object.values(faults),
      (fault) =>
        lines.filter((line) => line.startsWith(cellsOf(fault)) && / \d+ of \d+ \| 0 \| 0 \|$/.test(line)).length === 1,
      'each has its row: npm run test:faults -- --write',
    );
    const rows = lines.filter((line) => / \d+ of \d+ \| \d+ \| \d+ \|$/.test(line));
    assert.equal(rows.length, Object.keys(faults).length);
  });

  test('names every file of the fault suite, and only tests that exist', () => {
    const files = globSync('test/faults/*.test.ts', { cwd: root });
    assertEvery(files, (file) => page.includes(file), 'each is on the page');
    const named = [...page.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, file]) => file ?? '');
    assertEvery(named, (file) => existsSync(join(root, file)), 'each exists');
  });

  test('has the thirty reliability tests of an ssh engine, each with a test or a reason', () => {
    const numbers = lines.flatMap((line) => /^\| (\d+) \| [^|]+ \| [^|]+ \| [^|]+ \|$/.exec(line)?.[1] ?? []);
    assert.deepEqual(
      numbers.map(Number),
      Array.from({ length: 30 }, (_, index) => index + 1),
    );
  });
});

test('the table is written from the figures of a run, and a fault without figures is an error', () => {
  const figures = (Object.keys(faults) as FaultName[]).map((fault) => ({
    fault,
    noticedMs: fault === 'link-down' ? 4_100 : null,
    longestWaitMs: 12_345,
    lost: 8,
    open: 8,
    wrong: 0,
    truncated: 0,
  }));
  const text = withTable('a\n<!-- figures: begin -->\nstale figures\n<!-- figures: end -->\nz\n', figures, 'a machine');
  assert.match(text, /^a\n<!-- figures: begin -->\na machine\n/);
  assert.match(text, /\n<!-- figures: end -->\nz\n$/);
  assert.ok(!text.includes('stale'));
  assert.ok(text.includes(`${cellsOf(faults['link-down'])} 4.10 s | 12.3 s | 10.0 s | 8 of 8 | 0 | 0 |`), text);
  assert.throws(() => withTable(text, figures.slice(1), 'a machine'), /no figures of sessions-killed/);
  assert.throws(() => withTable('no marks', figures, 'a machine'), /lacks/);
});
