// Where the native engine is looked for: code that is loaded runs with our rights.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { bundling } from '../../../../scripts/build/bundling.ts';

const source = join(import.meta.dirname, '..', '..', '..', '..', 'src', 'sidecar', 'base', 'native-addon.ts');
const onLinux = { skip: process.platform !== 'linux' && 'it is for Linux' };

test('a bundle takes the engine from its own folder alone, and says what is wrong with it', onLinux, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'portforward-addon-'));
  try {
    // What a checkout has beside its sources would lie in a folder that anybody may write to, if the bundle lies in one of /tmp.
    const outdir = join(folder, 'a', 'b', 'c');
    const foreign = join(folder, 'native', 'build', 'engine.node');
    mkdirSync(dirname(foreign), { recursive: true });
    writeFileSync(foreign, 'of somebody else');
    await build({ ...bundling(), entryPoints: { addon: source }, outdir, sourcemap: false });
    const script = `process.stdout.write(require(process.argv[1]).loadEngine().because)`;
    const because = (): string =>
      execFileSync(process.execPath, ['-e', script, join(outdir, 'addon.cjs')], { encoding: 'utf8' });
    assert.equal(because(), 'it is not part of this build');
    writeFileSync(join(outdir, 'engine.node'), 'damaged');
    assert.match(because(), /engine\.node: file too short/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
