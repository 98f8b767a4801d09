// A process that crashes again and again: the pod goes on without the native engine.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crashedTooOften } from '../../../src/sidecar/engine-crashes.ts';

const now = new Date('2026-11-30T12:00:00.400Z');
const folder = mkdtempSync(join(tmpdir(), 'crashes-'));
const file = join(folder, 'crashes');
after(() => rmSync(folder, { recursive: true }));

/** Crashes so many seconds ago, as process 1 notes them. */
function verdict(...secondsAgo: readonly number[]): boolean {
  const lines = secondsAgo.map((seconds) => `${Math.floor(now.getTime() / 1000) - seconds}\n`);
  writeFileSync(file, lines.join(''));
  return crashedTooOften(file, now);
}

test('three crashes within ten minutes keep the engine off until the first of them is older', () => {
  assert.equal(verdict(), false);
  assert.equal(verdict(120, 60), false);
  assert.equal(verdict(500, 60, 0), true);
  assert.equal(verdict(599, 60, 0), true);
  assert.equal(verdict(600, 60, 0), false);
  assert.equal(verdict(5_000, 4_000, 3_000, 60, 0), false);
});

test('a clock that was set back, a broken file and a missing one keep nothing off', () => {
  assert.equal(verdict(-3_600, -3_600, -3_600), false);
  writeFileSync(file, 'NaN\n\n\u0000\n-1\n1e99\n');
  assert.equal(crashedTooOften(file, now), false);
  assert.equal(crashedTooOften(join(folder, 'missing'), now), false);
});
