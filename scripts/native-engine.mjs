// Compiles the engine of the ssh data path (native/): from nothing about 20 s, and not at all while its sources are those of the last time.
// Neighbours: run.mjs compiles it for this machine, release/native-engine.ts for a release, test/unit/native for its own tests.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Node 20 before 20.11 has no import.meta.filename. */
const own = fileURLToPath(import.meta.url);
const root = join(dirname(own), '..', 'native');

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
const flags = ['-std=c++20', '-fno-exceptions', '-fno-rtti', '-Wall', '-Wextra', '-Wshadow'];
export const addonFlags = [
  '-O2',
  '-fPIC',
  '-fvisibility=hidden',
  '-DNDEBUG',
  // What a far side sends goes through it: a write or an index out of bounds, or a damaged stack, ends the process before it is used. Undefined
  // first, because some distributions define a level of their own.
  '-U_FORTIFY_SOURCE',
  '-D_FORTIFY_SOURCE=3',
  '-D_GLIBCXX_ASSERTIONS',
  '-fstack-protector-strong',
  '-fstack-clash-protection',
];
/** A function that this Node does not have must keep the engine from loading, which is a warning; found at its first call, it ends the process. */
export const addonLink = ['-shared', '-s', '-Wl,-z,relro,-z,now'];
/** A warning is an error in the tests only: a newer compiler has new ones, and must still build the engine. */
export const sanitizerFlags = [
  '-Werror',
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-fsanitize=address,undefined',
  // Its calls would go past those that the sanitizers watch.
  '-U_FORTIFY_SOURCE',
  '-fno-sanitize-recover=all',
];

/** Of everything that a build is made from: the sources, this file with its flags, and `more`. */
export function sourcesDigest(...more) {
  const digest = createHash('sha256').update(readFileSync(own));
  for (const folder of ['.', 'addon', 'test']) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      if (/\.(cc|h)$/.test(name)) digest.update(`${folder}/${name}\n`).update(readFileSync(join(root, folder, name)));
    }
  }
  for (const text of more) digest.update(`${text}\n`);
  return digest.digest('hex');
}

/** Runs a program to its end. Resolves with its exit code; undefined if it could not be started, after a line that says so. */
async function runProgram(program, args, options) {
  const child = spawn(program, args, options);
  try {
    const [code] = await once(child, 'exit');
    return code;
  } catch (error) {
    process.stderr.write(`portforward: ${program} could not be started: ${error.message}\n`);
    return undefined;
  }
}

/**
 * Compiles, two files at a time, and links. `compiler`: a program, and words that it always gets; `options`: what both steps need; `link`: what
 * the second needs; `run` runs the compiler. Resolves with false, after the compiler has said why, if that failed.
 */
export async function compile(
  sources,
  file,
  { compiler = 'g++', options = [], link = [], env = process.env, run = runProgram } = {},
) {
  const work = mkdtempSync(join(tmpdir(), 'portforward-engine-'));
  const clean = () => rmSync(work, { recursive: true, force: true });
  process.once('exit', clean);
  try {
    const [program, ...words] = compiler.split(' ');
    const succeeds = async (args) =>
      (await run(program, [...words, ...args], { cwd: work, env, stdio: ['ignore', 2, 2] })) === 0;
    const half = (rest) => sources.filter((_, i) => i % 2 === rest);
    const compiled = await Promise.all([0, 1].map((rest) => succeeds([...flags, ...options, '-c', ...half(rest)])));
    if (compiled.includes(false)) return false;
    const objects = sources.map((source) => basename(source).replace(/\.cc$/, '.o'));
    if (!(await succeeds([...options, ...objects, '-o', 'made', ...link]))) return false;
    mkdirSync(dirname(file), { recursive: true });
    // Beside its place first: a process that has the old one open keeps it.
    const beside = `${file}.${process.pid}`;
    copyFileSync(join(work, 'made'), beside);
    renameSync(beside, file);
    return true;
  } finally {
    process.off('exit', clean);
    clean();
  }
}
