// A package that moves a module of which the bundles take a part must end the build: the bundle would silently hold all of it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { bundling, onlyUsed } from '../../../scripts/build/bundling.ts';

async function bundle(contents: string, { plugin }: ReturnType<typeof onlyUsed>): Promise<void> {
  const resolveDir = join(import.meta.dirname, '../../..');
  await build({ ...bundling(), stdin: { contents, resolveDir }, outdir: resolveDir, write: false, plugins: [plugin] });
}

test('a module that no bundle loads ends the build, and those of several bundles count together', async () => {
  const used = onlyUsed();
  await bundle("import { z } from 'zod'; console.log(z.string());", used);
  assert.throws(() => used.requireAll(), /^Error: no bundle loads .*client-node/);
  assert.throws(
    () => used.requireAll(),
    (error: Error) => !error.message.includes('zod'),
  );
  await bundle("import { KubeConfig } from '@kubernetes/client-node'; console.log(new KubeConfig());", used);
  used.requireAll();
});
