import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildWithBuildah } from '../../../lab/images/image-build.ts';
import { baseImage, type Image } from '../../../lab/images/images.ts';
import { command } from '../../../lab/process/command.ts';
import { ensurePackages } from '../../../lab/programs/packages.ts';
import { crashFile } from '../../../src/sidecar/engine-crashes.ts';
import { endAfterSigterm } from './init.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const log = (line: string): void => void process.stderr.write(`${line}\n`);

interface Config {
  readonly config: {
    readonly User?: string;
    readonly Entrypoint?: string[];
    readonly Env?: string[];
    readonly WorkingDir?: string;
  };
}

let directory: string;
let image: Image;
/** The unpacked root file system and the configuration of the image. */
let files: string;
let config: Config['config'];

before(async () => {
  await ensurePackages(log);
  directory = mkdtempSync(join(tmpdir(), 'portforward-image-'));
  await command(process.execPath, ['scripts/build.ts'], { cwd: root });
  const build = {
    dockerfile: join(root, 'Dockerfile'),
    context: root,
    tag: 'localhost/portforward/portforward:image-test',
    target: 'prebuilt',
  };
  image = await buildWithBuildah(build, await baseImage({ log }), directory);
  const archive = join(directory, 'archive');
  files = join(directory, 'files');
  for (const path of [archive, files]) mkdirSync(path);
  await command('tar', ['--extract', '--file', image.archive, '--directory', archive]);
  const [manifest] = JSON.parse(readFileSync(join(archive, 'manifest.json'), 'utf8')) as {
    Config: string;
    Layers: string[];
  }[];
  ({ config } = JSON.parse(readFileSync(join(archive, manifest?.Config ?? ''), 'utf8')) as Config);
  for (const layer of manifest?.Layers ?? []) {
    await command('tar', ['--extract', '--file', join(archive, layer), '--directory', files]);
  }
});

after(() => rmSync(directory, { recursive: true, force: true }));

/** Runs the image's own entry point on its own files, read-only, as its own user. */
function inside(
  args: readonly string[],
  env: readonly string[] = [],
): { readonly status: number | null; readonly output: string } {
  const [program = '', ...first] = config.Entrypoint ?? [];
  const script = `mount --bind -o ro "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`;
  const [uid = '', gid = ''] = (config.User ?? '').split(':');
  const run = [
    'chroot',
    `--userspec=${uid}:${gid}`,
    files,
    '/usr/bin/env',
    '-i',
    ...(config.Env ?? []),
    ...env,
    program,
    ...first,
    ...args,
  ];
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', script, files, ...run],
    {
      encoding: 'utf8',
      timeout: 120_000,
    },
  );
  return { status, output: `${stdout}${stderr}` };
}

test('the image runs as a numeric user that is not root', () => {
  assert.equal(config.User, '65532:65532');
});

const checked = ['version', '--check-crypto', '--check-data-path'];

test('its native crypto and its engine are there and load, on a read-only root and without any right', () => {
  const { status, output } = inside(checked);
  assert.equal(status, 0, output);
  assert.match(output, /native crypto: present/);
  assert.match(output, /native data path: present/);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.match(output, new RegExp(`portforward ${version.replaceAll('.', '\\.')}, Node 24\\.`));
});

test('a missing native binding, and a missing engine, fail the check, which fails the build', () => {
  for (const [name, complaint] of [
    ['sshcrypto.node', /native crypto: MISSING/],
    ['engine.node', /native data path: MISSING, it is not part of this build/],
  ] as const) {
    const binding = join(files, 'app', name);
    const content = readFileSync(binding);
    rmSync(binding);
    try {
      const { status, output } = inside(checked);
      assert.equal(status, 1, output);
      assert.match(output, complaint);
    } finally {
      spawnSync('install', ['/dev/stdin', binding], { input: content });
    }
  }
});

test('every command loads from the bundle alone: controller, sidecar, open, check', () => {
  const controller = inside(['controller']);
  assert.equal(controller.status, 2, controller.output);
  assert.match(controller.output, /--tunnel-image is required/);
  const sidecar = inside(['sidecar']);
  assert.equal(sidecar.status, 1, sidecar.output);
  assert.match(sidecar.output, /ConfigUnreadable/);
  const open = inside(['open', '-f', '/nowhere.yaml']);
  assert.equal(open.status, 2, open.output);
  assert.match(open.output, /there is no such file/);
  const check = inside(['check', '-f', '/nowhere.yaml']);
  assert.equal(check.status, 2, check.output);
});

test('SIGTERM ends it from the first instant on', async (t) => {
  const entry = { files, entrypoint: config.Entrypoint ?? [], env: config.Env ?? [] };
  const took: string[] = [];
  for (let afterMs = 0; afterMs <= 300; afterMs += 20) {
    took.push(`${afterMs}: ${Math.round(await endAfterSigterm(entry, afterMs))}`);
  }
  t.diagnostic(`ms after the start: ms until the end: ${took.join(', ')}`);
});

test('process 1 ends as its program does, passes signals on, and reaps what is left behind', () => {
  const init = join(files, 'app', 'portforward-init');
  const run = (script: string): number | null => spawnSync(init, ['sh', '-c', script], { timeout: 30_000 }).status;
  assert.equal(run('exit 7'), 7);
  assert.equal(run('kill -9 $$'), 137);
  assert.equal(spawnSync(init, ['/nowhere']).status, 127);
  assert.equal(spawnSync(init).status, 2);
  // The parent of sh is process 1: what it is told, sh hears.
  assert.equal(run('trap "exit 9" TERM; kill -TERM $PPID; while :; do sleep 0.05; done'), 9);
  const orphan =
    'sh -c "sleep 0.2 & echo \\$!" | { read pid; while grep -qs Z /proc/$pid/stat || [ -e /proc/$pid ]; do sleep 0.05; done; }';
  const asFirst = ['--pid', '--fork', '--mount-proc', init, 'sh', '-c', orphan];
  assert.equal(spawnSync('unshare', asFirst, { timeout: 30_000 }).status, 0, 'an orphan stays as a zombie');
});

test('process 1 tells and notes a crash of its program with its time, and no kill from outside', () => {
  const init = join(files, 'app', 'portforward-init');
  // A /tmp of its own, under which the program is hidden: it is opened before.
  const crash = '/proc/self/fd/3 sh -c "kill -$signal \\$\\$"';
  const script = `exec 3<${init}; mount -t tmpfs tmpfs /tmp && for signal in SEGV KILL TERM ABRT; do ${crash}; done; cat ${crashFile}`;
  const options = { encoding: 'utf8', timeout: 30_000 } as const;
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script], options);
  assert.match(stdout, /^\d{10}\n\d{10}\n$/);
  const told = stderr.match(/^portforward-init: the program crashed: .*$/gm);
  assert.deepEqual(
    told,
    ['Segmentation fault', 'Aborted'].map((how) => `portforward-init: the program crashed: ${how}`),
  );
});

test('the fly helper is in it, needs no library, and ends with its input', () => {
  const program = join(files, 'app', 'portforward-fly-helper');
  const { status, error } = spawnSync('chroot', ['--userspec=65532:65532', files, program.slice(files.length)], {
    input: '',
    timeout: 30_000,
  });
  assert.equal(status, 0, String(error));
});

test('no source map is in it', () => {
  const names = readdirSync(join(files, 'app'), { recursive: true }).map(String);
  assert.ok(names.includes('portforward.cjs'));
  assert.deepEqual(
    names.filter((name) => name.endsWith('.map')),
    [],
  );
});

test('what the product adds to its base stays small', () => {
  const bytes = Number(
    spawnSync('du', ['--summarize', '--bytes', join(files, 'app')], { encoding: 'utf8' }).stdout.split('\t')[0],
  );
  const compressed = gzipSync(
    spawnSync('tar', ['--create', '--directory', files, 'app'], { maxBuffer: 256 << 20 }).stdout,
  ).length;
  const node = statSync(join(files, 'usr/local/bin/node')).size;
  console.log(`dist: ${mib(bytes)}, compressed ${mib(compressed)}; node ${mib(node)}`);
  // Distroless with Node is about 55 MB compressed, and the whole must be at most 80.
  assert.ok(compressed < 15 * 1_000_000, `${compressed} bytes`);
});

const mib = (bytes: number): string => `${(bytes / (1 << 20)).toFixed(1)} MiB`;
