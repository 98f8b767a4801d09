// The laptop's command as one file: Node with the program, its worker and ssh's native crypto inside (Node's single executable application).
// Nothing is unpacked but the native crypto, which the loader wants as a file: it lies in a new private folder for the moment of loading.
// Neighbours: one-file/ (the program inside), native-crypto.ts, npm-packages.ts (Node, postject).
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { command } from '../../lab/process/command.ts';
import { bundling, onlyUsed } from '../build/bundling.ts';
import type { Architecture } from './architectures.ts';
import { npmPackage } from './npm-packages.ts';

const root = join(import.meta.dirname, '..', '..');
const worker = join(root, 'src', 'sidecar', 'drivers', 'ssh', 'login', 'private-key-worker.ts');

/** What Node looks for in its own file; nodejs.org/api/single-executable-applications.html. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

const loadsNativeCrypto = `
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { getRawAsset } = require('node:sea');
// A folder for temporary files may forbid programs; memory of Linux rarely does.
for (const place of [tmpdir(), '/dev/shm']) {
  let folder;
  try {
    folder = mkdtempSync(join(place, 'portforward-'));
    const file = join(folder, 'sshcrypto.node');
    writeFileSync(file, Buffer.from(getRawAsset('sshcrypto.node')), { mode: 0o500 });
    process.dlopen(module, file);
    break;
  } catch (error) {
    if (place === '/dev/shm') throw error;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
`;

/** Nothing is looked for beside the file or in the folder where it is called: ssh2's two native parts are inside or absent, and the engine of tunnel pods is absent. */
const insideOneFile: Plugin = {
  name: 'inside-one-file',
  setup(bundler) {
    bundler.onResolve({ filter: /sshcrypto\.node$/ }, () => ({ path: 'native-crypto', namespace: 'inside' }));
    bundler.onResolve({ filter: /^cpu-features$/ }, () => ({ path: 'absent', namespace: 'inside' }));
    bundler.onLoad({ filter: /[\\/]native-addon\.ts$/ }, () => ({
      contents: "export const loadEngine = () => ({ engine: undefined, because: 'it is for tunnel pods only' });",
    }));
    bundler.onLoad({ filter: /^native-crypto$/, namespace: 'inside' }, () => ({ contents: loadsNativeCrypto }));
    bundler.onLoad({ filter: /^absent$/, namespace: 'inside' }, () => ({
      contents: "throw new Error('not in this file')",
    }));
  },
};

export interface Program {
  readonly main: string;
  readonly worker: string;
}

/** Bundles program and worker into `folder`, the same for every architecture. */
export async function bundleProgram(folder: string): Promise<Program> {
  const entryPoints = {
    program: join(import.meta.dirname, 'one-file', 'entry.ts'),
    [basename(worker, '.ts')]: worker,
  };
  const used = onlyUsed();
  await build({
    ...bundling(),
    entryPoints,
    outdir: folder,
    external: [],
    sourcemap: false,
    legalComments: 'eof',
    plugins: [used.plugin, insideOneFile],
  });
  used.requireAll();
  return { main: join(folder, 'program.cjs'), worker: join(folder, `${basename(worker, '.ts')}.cjs`) };
}

/** Writes the executable `file` for that architecture. */
export async function writeOneFile(
  file: string,
  { node }: Architecture,
  parts: {
    readonly program: Program;
    readonly nativeCrypto: string;
    readonly work: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { program, nativeCrypto, work, signal } = parts;
  // Node writes the names into the file, so they must be the same on every machine: relative to `work`.
  const inWork = (path: string): string => relative(work, path);
  const config = `one-file-${node}.json`;
  const blob = `one-file-${node}.blob`;
  copyFileSync(nativeCrypto, join(work, `sshcrypto-${node}`));
  const assets = { [basename(program.worker)]: inWork(program.worker), 'sshcrypto.node': `sshcrypto-${node}` };
  const settings = { main: inWork(program.main), output: blob, disableExperimentalSEAWarning: true, assets };
  writeFileSync(join(work, config), JSON.stringify(settings));
  await command(process.execPath, ['--experimental-sea-config', config], { cwd: work });
  copyFileSync(join(await npmPackage(`node-linux-${node}`), 'bin', 'node'), file);
  chmodSync(file, 0o755);
  // In a process of its own: it warns of names in Node's file that it does not need.
  const inject = `require(process.argv[1]).inject(process.argv[2], 'NODE_SEA_BLOB', require('node:fs').readFileSync(process.argv[3]), { sentinelFuse: '${fuse}' })`;
  const postject = join(await npmPackage('postject'), 'dist', 'api.js');
  await command(process.execPath, ['--eval', inject, postject, file, join(work, blob)], {
    timeoutMs: 5 * 60_000,
    signal,
  });
}
