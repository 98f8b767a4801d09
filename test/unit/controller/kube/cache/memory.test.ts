// Documents cannot fill the controller's memory: of another class nothing is kept, of ours what a pass needs, whichever way they arrive.
// In a process of its own, whose memory nothing else moves.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const documents = 480;

/** As in the image; and the collector by call, to see what is kept. */
const flags = ['--max-semi-space-size=4', '--expose-gc'];

for (const [way, className, kept] of [
  ['WatchList', '', documents],
  ['list', 'other', 0],
] as const) {
  test(`${documents} documents of 1.25 MB of class "${className}" by ${way} leave nothing behind`, (t) => {
    const script = new URL('./memory-process.ts', import.meta.url).pathname;
    const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, script, way, className], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const { size, peakMiB, heapMiB } = JSON.parse(stdout) as { size: number; peakMiB: number; heapMiB: number };
    t.diagnostic(`most resident memory ${peakMiB} MiB, heap afterwards ${heapMiB} MiB`);
    assert.equal(size, kept);
    // About 36 MiB are the process itself.
    assert.ok(heapMiB < 60, `${heapMiB} MiB of heap are kept`);
    // The collector is lazy: what passed through may lie around, far below the controller's limit of 512 MiB.
    assert.ok(peakMiB < 400, `${peakMiB} MiB at most`);
  });
}
