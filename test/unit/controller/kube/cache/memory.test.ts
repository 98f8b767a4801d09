// Objects cannot fill the controller's memory: of another class nothing is kept, of ours what a pass needs, whichever way they arrive.
// In a process of its own, bundled and started as in the image, so that its peak is the product's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { build } from 'esbuild';
import { bundling } from '../../../../../scripts/build/bundling.ts';

const documents = 480;

/** As in the image; and the collector by call, to see what is kept. */
const flags = ['--max-semi-space-size=4', '--expose-gc'];

let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'portforward-memory-'));
  const entryPoints = [new URL('./memory-process.ts', import.meta.url).pathname];
  await build({ ...bundling(), entryPoints, outdir: folder, logLevel: 'error' });
});

after(() => rmSync(folder, { recursive: true, force: true }));

for (const [way, plural, className, kept] of [
  ['WatchList', 'portforwards', '', documents],
  ['WatchList', 'portforwards', 'other', 0],
  ['list', 'portforwards', '', documents],
  ['list', 'portforwards', 'other', 0],
  ['WatchList', 'services', '', documents],
] as const) {
  test(`${documents} ${plural} of 1.25 MB of class "${className}" by ${way} stay under 200 MiB`, (t) => {
    const { size, peakMiB, heapMiB } = readAll(t, way, plural, className);
    assert.equal(size, kept);
    // About 17 MiB are the process itself.
    assert.ok(heapMiB < 30, `${heapMiB} MiB of heap are kept`);
    assert.ok(peakMiB < 200, `${peakMiB} MiB at most`);
  });
}

test('the caches keep less than 13 KiB of a PortForward with its five objects and two pods', (t) => {
  const tunnels = 2_000;
  const { size, pods, keptBytes } = readAll(t, 'tunnels', String(tunnels), '');
  assert.deepEqual([size, pods], [tunnels, 2 * tunnels]);
  t.diagnostic(`${Math.round(keptBytes / tunnels)} bytes of each`);
  assert.ok(keptBytes / tunnels < 13 * 1_024, `${keptBytes / tunnels} bytes of each`);
});

interface Read {
  readonly size: number;
  readonly pods: number;
  readonly peakMiB: number;
  readonly heapMiB: number;
  readonly keptBytes: number;
}

function readAll(t: TestContext, ...args: readonly string[]): Read {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...flags, join(folder, 'memory-process.cjs'), ...args],
    { encoding: 'utf8', timeout: 120_000 },
  );
  assert.equal(status, 0, stderr);
  const read = JSON.parse(stdout) as Read;
  t.diagnostic(`most resident memory ${read.peakMiB} MiB, heap afterwards ${read.heapMiB} MiB`);
  return read;
}
