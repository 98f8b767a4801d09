// What the image is made of: .dockerignore admits it by name, and the test cluster's image is made anew when it changes.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { imageSources } from '../../../lab/cluster/operator.ts';
import { assertEvery } from '../../support/assert-every.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const lines = (file: string): string[] => readFileSync(join(root, file), 'utf8').split('\n');

test('each COPY of the Dockerfile finds its sources', () => {
  const ignore = lines('.dockerignore').filter((line) => line !== '');
  assert.equal(ignore[0], '*', 'what is not named stays outside');
  const admitted = new Set(ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1)));
  const copied = lines('Dockerfile')
    .flatMap((line) => /^COPY (?!--from)(.+) \S+$/.exec(line)?.[1]?.split(' ') ?? [])
    .map((source) => source.replace(/\/$/, ''));
  assert(copied.includes('src') && copied.includes('native'), copied.join());
  assertEvery(copied, (source) => admitted.has(source.split('/', 1)[0] ?? ''), '.dockerignore admits it');
  // dist/ is there after a build only.
  assertEvery(copied, (source) => source === 'dist' || existsSync(join(root, source)), 'it exists');
});

test('what was compiled here stays outside: it may be for another architecture', () => {
  assert(lines('.dockerignore').includes('native/build'));
});

test('the image of the test cluster is made anew when a source of the engine or its build changes', () => {
  const sources = new Set(globSync(imageSources, { cwd: root }));
  const engine = globSync(['native/*.{cc,h}', 'native/addon/*.{cc,h}'], { cwd: root });
  assert(engine.length > 20, engine.join());
  const build = ['scripts/native-engine.mjs', 'scripts/crypto-keys.mjs', 'scripts/build.ts', 'Dockerfile'];
  assertEvery([...engine, ...build], (file) => sources.has(file), 'it is a source of the image');
  assert.equal(sources.has('native/test/main.cc'), false);
});
