// The engine's own program, with sanitizers: its tests (native/test/*_test.cc) and its fuzzer (native/test/fuzz.cc). Compiled once for
// its sources, in about 30 s of CPU time; kept in the cache.
// Neighbours: test/unit/native runs both for a short time, test/fuzz/fuzz.ts the fuzzer for as long as one likes.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory } from '../../../lab/base/places.ts';
import { compile, sanitizerFlags, sourcesDigest, testSources } from '../../../scripts/native-engine.mjs';

const run = promisify(execFile);

/** @throws Error, after the compiler has said why */
export async function engineProgram(): Promise<string> {
  const digest = sourcesDigest(...sanitizerFlags).slice(0, 16);
  const file = join(cacheDirectory(), 'native', `${digest}-tests`);
  if (existsSync(file)) return file;
  console.error('compiling the engine’s own tests with sanitizers (once for its sources)');
  if (!(await compile(testSources(), file, { options: sanitizerFlags }))) {
    throw new Error('the engine and its tests could not be compiled: see above');
  }
  return file;
}

/** Programs that failed once: each runs again in every test run. */
const corpus = join(import.meta.dirname, '..', '..', 'corpus', 'native', 'seeds.txt');

/** Returns what the fuzzer says. @throws Error with its words and the seed that failed */
export async function fuzzEngine(steps: number, seed: number): Promise<string> {
  const program = await engineProgram();
  const failed = readFileSync(corpus, 'utf8')
    .split('\n')
    .filter((line) => /^\d+$/.test(line));
  for (const one of failed) await run(program, ['fuzz', '1', one]);
  const { stdout } = await run(program, ['fuzz', String(steps), String(seed)], { maxBuffer: 2 ** 24 });
  return `${stdout.trim()}, and ${failed.length} of the corpus`;
}
