// Compiles the engine of the ssh data path (native/): from nothing about 20 s, and not at all while its sources are those of the last time.
// Neighbours: run.mjs compiles it for this machine, release/native-crypto.ts for a release, test/unit/native for its own tests.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..', 'native');

const sourcesIn = (folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => join(root, folder, name));

/** What Node loads. */
export const addonSources = () => [...sourcesIn('.'), ...sourcesIn('addon')];
/** The engine without JavaScript and OpenSSL, its tests and its fuzzer. */
export const testSources = () => [
  ...sourcesIn('.').filter((file) => basename(file) !== 'gcm.cc'),
  ...sourcesIn('test'),
];

/** No exception may cross N-API, so there are none at all. */
const flags = ['-std=c++20', '-fno-exceptions', '-fno-rtti', '-Wall', '-Wextra', '-Wshadow', '-Werror'];
export const addonFlags = ['-O2', '-fPIC', '-fvisibility=hidden', '-DNDEBUG'];
export const sanitizerFlags = [
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
];

/** Of everything that a build is made from. */
export function sourcesDigest(...more) {
  const digest = createHash('sha256');
  for (const folder of ['.', 'addon', 'test']) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      if (/\.(cc|h)$/.test(name)) digest.update(`${folder}/${name}\n`).update(readFileSync(join(root, folder, name)));
    }
  }
  for (const text of [...flags, ...more]) digest.update(`${text}\n`);
  return digest.digest('hex');
}

/**
 * Compiles, two files at a time, and links. `options`: what both steps need; `link`: what the second needs.
 * Resolves with false, after the compiler has said why, if that failed.
 */
export async function compile(sources, file, { compiler = 'g++', options = [], link = [], env = process.env } = {}) {
  const work = mkdtempSync(join(tmpdir(), 'portforward-engine-'));
  try {
    const run = async (args) => {
      const child = spawn(compiler, args, { cwd: work, env, stdio: ['ignore', 'inherit', 'inherit'] });
      const [code] = await once(child, 'exit');
      return code === 0;
    };
    const half = (rest) => sources.filter((_, i) => i % 2 === rest);
    const compiled = await Promise.all([0, 1].map((rest) => run([...flags, ...options, '-c', ...half(rest)])));
    if (compiled.includes(false)) return false;
    const objects = sources.map((source) => basename(source).replace(/\.cc$/, '.o'));
    if (!(await run([...options, ...objects, '-o', 'made', ...link]))) return false;
    mkdirSync(dirname(file), { recursive: true });
    // Beside its place first: a process that has the old one open keeps it.
    const beside = `${file}.${process.pid}`;
    copyFileSync(join(work, 'made'), beside);
    renameSync(beside, file);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
