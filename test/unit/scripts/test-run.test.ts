// The test runner counts what happened and names what did not end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const runner = join(import.meta.dirname, '../../../scripts/test-run.ts');

let directory: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'portforward-test-run-'));
});

after(() => rmSync(directory, { recursive: true }));

interface Counts {
  readonly passed: number;
  readonly failures: readonly string[];
  readonly skipped: readonly string[];
}

/** Counts of a run over these files (name → content), in a process of its own: a test cannot run tests. */
function counts(files: Readonly<Record<string, string>>, fileLimitMs = 20_000): Counts {
  const paths = Object.entries(files).map(([name, content]) => {
    const path = join(directory, `${name}.test.mjs`);
    writeFileSync(path, `import { describe, test } from 'node:test';\n${content}`);
    return path;
  });
  const script = `
    import { runFiles } from ${JSON.stringify(runner)};
    const counts = await runFiles(${JSON.stringify(paths)}, { concurrency: 2, fileLimitMs: ${fileLimitMs} });
    process.stdout.write('\\nCOUNTS ' + JSON.stringify(counts));
  `;
  return countsIn(run(script));
}

/** What the script prints. */
function run(script: string): string {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const file = join(directory, 'run.mjs');
  writeFileSync(file, script);
  return spawnSync(process.execPath, [file], { encoding: 'utf8', env }).stdout;
}

const countsIn = (stdout: string): Counts => JSON.parse(stdout.split('\nCOUNTS ')[1] ?? '{}') as Counts;

test('passed, failed and skipped tests of all files are summed; groups are not tests', () => {
  const { passed, failures, skipped } = counts({
    good: `test('a', () => {}); describe('group', () => { test('b', () => {}); test('c', () => {}); });`,
    bad: `test('d', () => { throw new Error('no'); }); test('e', () => {});`,
    skipping: `test('f', { skip: 'no peer here' }, () => {}); test.todo('g');`,
  });
  assert.equal(passed, 4);
  assert.equal(failures.length, 1);
  assert.match(failures[0] ?? '', /^d \(.*bad\.test\.mjs\): no$/);
  assert.deepEqual(
    skipped.map((text) => text.split(' (')[0]),
    ['f', 'g'],
  );
  assert.match(skipped[0] ?? '', /no peer here/);
});

test('a file without a test is a failure, and so is one that cannot be loaded', () => {
  const empty = counts({ empty: '' });
  assert.deepEqual([empty.passed, empty.failures.length], [0, 1]);
  assert.match(empty.failures[0] ?? '', /empty\.test\.mjs: holds no test$/);
  const broken = counts({ broken: 'this is no JavaScript' });
  assert.deepEqual([broken.passed, broken.failures.length], [0, 1]);
  assert.match(broken.failures[0] ?? '', /broken\.test\.mjs: /);
});

test('a file that does not end in time is ended and counted as failed', () => {
  const started = performance.now();
  const { failures } = counts({ hanging: `test('h', () => new Promise(() => setTimeout(() => {}, 60_000)));` }, 1_000);
  assert.match(failures.join('\n'), /hanging\.test\.mjs: did not end within 1 s and was ended/);
  assert.ok(performance.now() - started < 40_000);
});

test('tests that a signal ended are not counted, and leave no failure in the output', () => {
  const path = join(directory, 'stopped.test.mjs');
  writeFileSync(
    path,
    `import { test } from 'node:test';
    test('first', () => {});
    test('endless', () => new Promise(() => setTimeout(() => {}, 60_000)));`,
  );
  const script = `
    import { runFiles } from ${JSON.stringify(runner)};
    const abort = new AbortController();
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (text, ...rest) => {
      if (String(text).includes('✔ first')) abort.abort(new Error('ended by SIGINT'));
      return write(text, ...rest);
    };
    const options = { concurrency: 1, fileLimitMs: 50_000, signal: abort.signal };
    const counts = await runFiles([${JSON.stringify(path)}], options);
    write('\\nCOUNTS ' + JSON.stringify(counts));
  `;
  const stdout = run(script);
  assert.deepEqual(countsIn(stdout), { passed: 1, failures: [], skipped: [] });
  assert.doesNotMatch(stdout, /failing tests|testAborted|\bat process/);
});

test('a file that does not end in time names the tests that began and did not end, and no other', () => {
  const forever = '() => new Promise(() => setTimeout(() => {}, 60_000))';
  const { failures } = counts(
    {
      waiting: `test('ends', () => {}); describe('group', () => { test('waits', ${forever}); test('later', () => {}); });`,
    },
    5_000,
  );
  assert.match(failures.join('\n'), /waiting\.test\.mjs: did not end .*; tests that did not end: waits$/m);
});

test('a file that repeats without a pause names the last test that ended', () => {
  const { failures } = counts(
    {
      spinning: `import { setTimeout as sleep } from 'node:timers/promises';
        test('ends', () => {}); test('reports', () => sleep(100)); test('spins', async () => { for (;;) await null; });`,
    },
    5_000,
  );
  assert.match(
    failures.join('\n'),
    /spinning\.test\.mjs: did not end .*; (it stopped reporting after the test: (ends|reports)|tests that did not end: (reports|spins))$/m,
  );
});
