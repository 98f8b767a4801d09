import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growth, type Sample } from '../../soak/flatness.ts';

const still: Sample = { rss: 90, files: 40, streams: 22, sessions: 2 };
const series = (at: (index: number) => Partial<Sample>): Sample[] =>
  Array.from({ length: 30 }, (_, index) => ({ ...still, ...at(index) }));

test('a tunnel that only warms up is flat, and so is one that moves up and down', () => {
  assert.deepEqual(growth(series((index) => ({ rss: 60 + Math.min(index, 10) * 3 }))), []);
  assert.deepEqual(growth(series((index) => ({ files: 40 + (index % 3), streams: 20 + (index % 4) }))), []);
});

test('one socket, channel or session more for each kill is growth, and so is a MiB', () => {
  for (const name of ['rss', 'files', 'streams', 'sessions'] as const) {
    const grown = growth(series((index) => ({ [name]: still[name] + 2 * index })));
    assert.equal(grown.length, 1);
    assert.match(grown[0] ?? '', new RegExp(`^${name} grew from`));
  }
});

test('too few samples prove nothing', () => {
  assert.throws(() => growth([still, still, still, still, still]), /at least 6/);
});
