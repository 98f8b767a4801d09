// A process that dies with the native engine, again and again: the pod goes on without it.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EngineCrashes } from '../../../src/sidecar/engine-crashes.ts';
import { FakeClock } from '../../support/fake-clock.ts';

interface Pod extends Disposable {
  readonly clock: FakeClock;
  readonly folder: string;
  readonly file: string;
  /** A process of the pod starts; what its record says of the engine. */
  start(): { readonly isAllowed: boolean; readonly crashes: EngineCrashes };
}

function pod(): Pod {
  const folder = mkdtempSync(join(tmpdir(), 'crashes-'));
  const file = join(folder, 'record.json');
  const clock = new FakeClock();
  return {
    clock,
    folder,
    file,
    start: () => {
      const crashes = new EngineCrashes(file, clock);
      return { isAllowed: crashes.begin(), crashes };
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

test('three crashes within ten minutes keep the engine off until the first is ten minutes old', async () => {
  using p = pod();
  // Each start but the first finds that the one before it crashed.
  for (let crash = 0; crash < 3; crash += 1) {
    assert.equal(p.start().isAllowed, true);
    await p.clock.advance(60_000);
  }
  assert.equal(p.start().isAllowed, false);
  await p.clock.advance(60_000);
  assert.equal(p.start().isAllowed, false, 'a start without the engine is no crash of it, and no proof either');
  await p.clock.advance(8 * 60_000);
  assert.equal(p.start().isAllowed, true);
});

test('crashes that are further apart keep nothing off', async () => {
  using p = pod();
  for (let crash = 0; crash < 10; crash += 1) {
    assert.equal(p.start().isAllowed, true);
    await p.clock.advance(5 * 60_000 + 1);
  }
});

test('an end with a last word of JavaScript is no crash, and leaves nothing behind', () => {
  using p = pod();
  for (let end = 0; end < 5; end += 1) {
    const { isAllowed, crashes } = p.start();
    assert.equal(isAllowed, true);
    crashes.end();
  }
  assert.deepEqual(readdirSync(p.folder), []);
});

test('a record that is broken, or cannot be written, keeps nothing off', () => {
  using p = pod();
  writeFileSync(p.file, '{"runningSince":"yes","crashes":[null,1,');
  assert.equal(p.start().isAllowed, true);
  assert.equal(new EngineCrashes(join(p.folder, 'missing', 'record.json'), p.clock).begin(), true);
});
