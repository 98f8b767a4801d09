// Process 1 of the image, compiled for this machine. What it does as process 1: ../../integration/image/image.test.ts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildInit } from '../../../scripts/build/init.ts';

const onLinux = { skip: process.platform !== 'linux' && 'it is for Linux' };

test('a crash of the program leaves no core dump: keys and clients’ bytes would be in it', onLinux, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'portforward-init-'));
  try {
    const { stdout } = spawnSync(await buildInit(folder), ['cat', '/proc/self/limits'], { encoding: 'utf8' });
    // The kernel takes 1 as a refusal, also where dumps go to a program.
    assert.match(stdout, /^Max core file size +1 +1 +bytes/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
