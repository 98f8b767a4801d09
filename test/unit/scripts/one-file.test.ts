// The laptop's one file lies in folders such as Downloads: it must run nothing that lies beside it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundleProgram } from '../../../scripts/release/one-file.ts';

test('the one file looks for no native part beside itself', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'portforward-one-file-'));
  try {
    const { main } = await bundleProgram(folder);
    const program = readFileSync(main, 'utf8');
    assert.equal(program.includes('engine.node'), false);
    assert.match(program, /it is for tunnel pods only/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
