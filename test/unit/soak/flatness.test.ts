import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growth, growthPerStep, type Sample } from '../../soak/flatness.ts';

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

test('a value that grows with each step is told from one that garbage moves', () => {
  const tebibyte = [83.7, 84.4, 83.7, 85.9, 86.8, 85.7, 85.9, 86.2, 86.4, 86.7, 87.0, 87.4, 86.1, 86.2, 86.4, 86.6];
  assert.ok(Math.abs(growthPerStep(tebibyte)) < 0.1);
  assert.ok(growthPerStep(tebibyte.map((rss, step) => rss + 1.1 * step)) > 1);
  assert.equal(growthPerStep([80, 83, 84]), 2);
  assert.equal(growthPerStep([80]), 0);
  assert.equal(growthPerStep([]), 0);
});
