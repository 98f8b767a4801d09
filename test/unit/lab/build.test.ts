// A build that is cut off leaves no lock and no part of a program, and the next one goes on. The compiler is a slow script of the
// test's, because what is judged is how it is called and ended.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { startedAt } from '../../../lab/process/proc.ts';

const lab = join(import.meta.dirname, '..', '..', '..', 'lab');
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portforward-build-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A `go` on the PATH: it writes half a program, starts another process as compilers do, and waits while the file `slow` exists. */
function fakeGo(): void {
  const file = join(directory, 'go');
  writeFileSync(
    file,
    `#!/bin/sh
case "$1" in
  env) echo go1.99.0;;
  list) echo one; echo two;;
  build)
    while [ "$1" != -o ]; do shift; done
    printf half > "$2/etcd"
    if [ -e ${directory}/slow ]; then sh -c 'echo $$ > ${directory}/compiler; exec sleep 600'; fi
    printf whole > "$2/etcd";;
esac
`,
  );
  chmodSync(file, 0o755);
}

function build(): ChildProcess {
  const script = `
    import { runScript } from ${JSON.stringify(join(lab, 'process/script.ts'))};
    import { ensurePrograms } from ${JSON.stringify(join(lab, 'programs/programs.ts'))};
    import { cachedProgram } from ${JSON.stringify(join(lab, 'base/places.ts'))};
    await runScript(async (signal) => {
      await ensurePrograms(['etcd'], { log: () => {}, signal });
      console.log(cachedProgram('etcd'));
    });`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    env: { ...process.env, PATH: `${directory}:${process.env['PATH']}`, PF_CACHE_DIR: join(directory, 'cache') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The build, once its compiler works. */
async function compiling(): Promise<{ readonly child: ChildProcess; readonly compiler: number }> {
  writeFileSync(join(directory, 'slow'), '');
  rmSync(join(directory, 'compiler'), { force: true });
  const child = build();
  const pid = (): number =>
    Number(existsSync(join(directory, 'compiler')) && readFileSync(join(directory, 'compiler'), 'utf8'));
  await eventually('the compiler works', () => pid() > 0);
  return { child, compiler: pid() };
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

const left = (): string[] => globSync(['**/*.lock', '**/.unfinished-*', '**/etcd'], { cwd: join(directory, 'cache') });

test('Ctrl-C ends the compiler with all that it started, and leaves no lock and no part of a program', async () => {
  fakeGo();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const { child, compiler } = await compiling();
    child.kill(signal);
    child.kill(signal);
    assert.equal(await exitCode(child), signal === 'SIGINT' ? 130 : 143);
    await eventually('its compiler is gone', () => startedAt(compiler) === undefined);
    assert.deepEqual(left(), []);
  }
});

test('what a killed build left is taken away by the next one, which goes on', async () => {
  fakeGo();
  const { child, compiler } = await compiling();
  child.kill('SIGKILL');
  await exitCode(child);
  process.kill(compiler, 'SIGKILL');
  assert.equal(left().filter((file) => /unfinished-|lock/.test(file)).length > 0, true, 'it left something');
  rmSync(join(directory, 'slow'));
  const again = build();
  let printed = '';
  again.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
  assert.equal(await exitCode(again), 0);
  assert.equal(readFileSync(printed.trim(), 'utf8'), 'whole');
  assert.deepEqual(
    left().map((file) => file.split('/').at(-1)),
    ['etcd'],
  );
});
