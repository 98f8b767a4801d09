// A release as its users get it: the folder of `npm run release`, judged by the programs that users have (sha256sum, skopeo, Helm, npm) and
// run for both architectures, this machine's own and the other one under qemu.
// Neighbours: test/support/release/ makes it; test/cluster/release.test.ts installs it.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { cachedProgram } from '../../../lab/base/places.ts';
import { CommandFailed, command } from '../../../lab/process/command.ts';
import { architectures } from '../../../scripts/release/architectures.ts';
import { readBase } from '../../../scripts/release/base-image.ts';
import { digestOf, type Index, type Manifest, OciLayout } from '../../../scripts/release/oci-layout.ts';
import { startRegistry } from '../../support/release/registry.ts';
import { releaseFolder, version } from '../../support/release/release-folder.ts';
import { commandsOf, isShell, readPage } from '../docs/markdown.ts';

const root = join(import.meta.dirname, '..', '..', '..');

/** What an ELF file says about the machine it is for. */
const elfMachines = { x64: 62, arm64: 183 } as const;

let folder: string;
let base: string;
let work: string;
/** The unpacked layouts of the two archives, and for each architecture the image's whole file system. */
let image: OciLayout;
let chart: OciLayout;

const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
const files = (architecture: string): string => join(work, `files-${architecture}`);

before(async () => {
  ({ folder, base } = await releaseFolder());
  work = mkdtempSync(join(tmpdir(), 'portforward-release-test-'));
  image = OciLayout.open(await unpacked(`portforward-image-${version}.oci.tar`, 'image'));
  chart = OciLayout.open(await unpacked(`portforward-chart-${version}.oci.tar`, 'chart'));
});
after(() => {
  if (work !== undefined) rmSync(work, { recursive: true, force: true });
});

async function unpacked(archive: string, name: string): Promise<string> {
  const place = join(work, name);
  mkdirSync(place);
  await command('tar', ['--extract', '--file', join(folder, archive), '--directory', place]);
  return place;
}

/** The newest version of glibc's symbols that the file asks for: 28 for 2.28. */
async function newestGlibc(file: string): Promise<number> {
  const asked = [...(await command('readelf', ['--version-info', file])).matchAll(/Name: GLIBC_2\.(\d+)/g)];
  return Math.max(...asked.map(([, minor]) => Number(minor)));
}

function elfMachine(file: string): number {
  const head = Buffer.alloc(20);
  const handle = openSync(file, 'r');
  readSync(handle, head);
  closeSync(handle);
  assert.equal(head.toString('latin1', 0, 4), '\u007FELF', file);
  return head.readUInt16LE(18);
}

/** How a program of that architecture is started here, where its libraries are below `libraries`. */
function starting(architecture: string, libraries: string): string[] {
  return architecture === process.arch
    ? []
    : [architecture === 'arm64' ? 'qemu-aarch64-static' : 'qemu-x86_64-static', '-L', libraries];
}

suite('the folder', () => {
  test('sha256sum, called as install.md says, finds every file as SHA256SUMS says; no other file is there', async () => {
    const [check = '', ...more] = readPage('docs/install.md')
      .blocks.filter(isShell)
      .flatMap(commandsOf)
      .filter((each) => each.startsWith('sha256sum '));
    assert.equal(more.length, 0);
    await command('bash', ['-euc', check], { cwd: folder });
    const named = text('SHA256SUMS')
      .trim()
      .split('\n')
      .map((line) => line.split('  ')[1]);
    assert.deepEqual(new Set(readdirSync(folder)), new Set([...named, 'SHA256SUMS']));
  });

  test('the notes are the changelog’s', () => {
    const notes = text('RELEASE_NOTES.md');
    assert.ok(notes.startsWith(`# PortForward ${version}\n\n- `), notes);
    assert.match(
      readFileSync(join(root, 'CHANGELOG.md'), 'utf8'),
      new RegExp(notes.split('\n')[2]?.replaceAll(/[^\w ]/g, '.') ?? 'nothing'),
    );
  });

  test('the provenance names every artifact by its digest, the commit, the base and the lockfile', async () => {
    const { _type, predicateType, subject, predicate } = JSON.parse(text('provenance.intoto.json')) as Statement;
    assert.equal(_type, 'https://in-toto.io/Statement/v1');
    assert.equal(predicateType, 'https://slsa.dev/provenance/v1');
    const digests = new Map(subject.map(({ name, digest }) => [name, digest['sha256']]));
    for (const line of text('SHA256SUMS').trim().split('\n')) {
      const [hex, name = ''] = line.split('  ');
      if (name !== 'provenance.intoto.json') assert.equal(digests.get(name), hex, name);
    }
    for (const line of text('DIGESTS').trim().split('\n')) {
      const [digest = '', name = ''] = line.split('  ');
      assert.equal(digests.get(name), digest.slice('sha256:'.length), name);
    }
    const from = new Map(
      predicate.buildDefinition.resolvedDependencies.map((each) => [each.name ?? each.uri, each.digest]),
    );
    assert.equal(from.get('sources')?.['gitCommit'], (await command('git', ['-C', root, 'rev-parse', 'HEAD'])).trim());
    assert.equal(`sha256:${from.get('base image')?.['sha256']}`, OciLayout.open(base).index().manifests[0]?.digest);
    const lock = digestOf(readFileSync(join(root, 'package-lock.json')));
    assert.equal(`sha256:${from.get('package-lock.json')?.['sha256']}`, lock);
    assert.doesNotMatch(text('provenance.intoto.json'), /\/(?:root|home|tmp)\//);
  });

  test('the bill of materials has every package that runs, and Node', () => {
    const { packages, spdxVersion } = JSON.parse(text('sbom.spdx.json')) as {
      readonly spdxVersion: string;
      readonly packages: readonly { readonly name: string; readonly versionInfo: string }[];
    };
    assert.match(spdxVersion, /^SPDX-2/);
    const listed = new Set(packages.map(({ name, versionInfo }) => `${name}@${versionInfo}`));
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      'dependencies' | 'devDependencies',
      Readonly<Record<string, string>>
    >;
    for (const [name, pinned] of Object.entries(dependencies)) assert.ok(listed.has(`${name}@${pinned}`), name);
    assert.ok(listed.has(`node@${devDependencies['node']}`));
    assert.ok(!listed.has(`typescript@${devDependencies['typescript']}`));
  });
});

interface Statement {
  readonly _type: string;
  readonly predicateType: string;
  readonly subject: readonly { readonly name: string; readonly digest: Readonly<Record<string, string>> }[];
  readonly predicate: {
    readonly buildDefinition: {
      readonly resolvedDependencies: readonly {
        readonly name?: string;
        readonly uri?: string;
        readonly digest: Readonly<Record<string, string>>;
      }[];
    };
  };
}

suite('the image', () => {
  test('skopeo copies all of it from the archive, with the digest that DIGESTS names', async () => {
    const copy = join(work, 'copy');
    const archive = `oci-archive:${join(folder, `portforward-image-${version}.oci.tar`)}`;
    await command('skopeo', ['copy', '--quiet', '--all', '--preserve-digests', archive, `oci:${copy}`]);
    const [copied] = OciLayout.open(copy).index().manifests;
    assert.match(text('DIGESTS'), new RegExp(`^${copied?.digest}  portforward:${version}$`, 'm'));
  });

  test('it says its version, its commit and how it runs', async () => {
    for (const { oci } of architectures) {
      const { config } = configOf(oci);
      assert.equal(config.User, '65532:65532');
      assert.equal(config.Labels['org.opencontainers.image.version'], version);
      assert.match(config.Labels['org.opencontainers.image.revision'] ?? '', /^[0-9a-f]{40}$/);
      assert.ok(config.Env.includes('NODE_ENV=production'));
      assert.ok(config.Env.includes('SSL_CERT_DIR=/etc/ssl/certs'), 'what the base sets is kept');
    }
  });

  for (const { node, oci } of architectures) {
    test(`${oci} runs, read as its own user would, with its own native crypto and without source maps`, async () => {
      const { layers } = manifestOf(oci);
      mkdirSync(files(oci));
      for (const { digest } of layers) {
        await command('tar', ['--extract', '--gzip', '--directory', files(oci)], { input: image.read(digest) });
      }
      const app = readdirSync(join(files(oci), 'app'));
      assert.ok(app.includes('portforward.cjs') && app.includes('private-key-worker.cjs'), app.join());
      assert.deepEqual(
        app.filter((name) => name.endsWith('.map')),
        [],
      );
      assert.equal(elfMachine(join(files(oci), 'usr/local/bin/node')), elfMachines[node]);
      const binding = join(files(oci), 'app/sshcrypto.node');
      assert.equal(elfMachine(binding), elfMachines[node]);
      const newest = await newestGlibc(binding);
      assert.ok(newest >= 2 && newest <= 28, `it asks for glibc 2.${newest}, Node itself for 2.28`);
      const engine = join(files(oci), 'app/engine.node');
      assert.equal(elfMachine(engine), elfMachines[node]);
      const newestOfEngine = await newestGlibc(engine);
      assert.ok(newestOfEngine <= 34, `the engine asks for glibc 2.${newestOfEngine}, the page on releases says 2.34`);

      const { config } = configOf(oci);
      const words = config.Entrypoint.map((word) => word.replace(/^\/app/, join(files(oci), 'app')));
      // Process 1 starts what follows it: here another architecture's Node needs an emulator in front.
      const [init = '', first, ...options] = words;
      assert.equal(elfMachine(init), elfMachines[node]);
      assert.equal(first, 'node');
      const program = [...starting(node, files(oci)), join(files(oci), 'usr/local/bin/node'), ...options];
      const checked = ['version', '--check-crypto', '--check-data-path'];
      const said = execFileSync('env', ['-i', ...program, ...checked], { encoding: 'utf8' });
      assert.match(said, new RegExp(`^portforward ${version.replaceAll('.', '\\.')}, Node 24\\.`));
      assert.match(said, /native crypto: present/);
      assert.match(said, /native data path: present/);
    });
  }
});

interface Config {
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
  };
}

function manifestOf(architecture: string): Manifest {
  const [named] = image.index().manifests;
  const { manifests } = image.readJson<Index>(named?.digest ?? '');
  assert.deepEqual(
    manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`),
    ['linux/amd64', 'linux/arm64'],
  );
  const found = manifests.find(({ platform }) => platform?.architecture === architecture);
  return image.readJson<Manifest>(found?.digest ?? '');
}

const configOf = (architecture: string): Config => image.readJson<Config>(manifestOf(architecture).config.digest);

suite('the chart', () => {
  test('Helm pulls it from a registry that has the archive’s content, and it is the packaged one', async () => {
    await using registry = await startRegistry({ 'charts/portforward': chart.directory });
    const place = join(work, 'pulled');
    const from = `oci://${registry.address}/charts/portforward`;
    const pull = ['pull', from, '--version', version, '--plain-http', '--destination', place];
    mkdirSync(place);
    await command(cachedProgram('helm'), pull, { env: { HELM_CACHE_HOME: place, HELM_CONFIG_HOME: place } });
    assert.deepEqual(
      readFileSync(join(place, `portforward-${version}.tgz`)),
      readFileSync(join(folder, `portforward-${version}.tgz`)),
    );
  });

  test('it has the version, its README, and the image of that version', async () => {
    const packaged = join(folder, `portforward-${version}.tgz`);
    const show = (what: string): Promise<string> => command(cachedProgram('helm'), ['show', what, packaged]);
    const about = parse(await show('chart')) as Record<string, string>;
    assert.equal(about['version'], version);
    assert.equal(about['appVersion'], version);
    assert.equal(await show('readme'), `${readFileSync(join(root, 'helm/README.md'), 'utf8')}\n`);
    const manifest = await command(cachedProgram('helm'), [
      'template',
      'portforward',
      packaged,
      '--kube-version',
      '1.31.0',
    ]);
    assert.match(manifest, new RegExp(`image: "[^"]*/portforward:${version.replaceAll('.', '\\.')}"`));
  });
});

suite('the command for a laptop', () => {
  for (const { node, oci } of architectures) {
    test(`linux ${node}: one file, in an empty folder and an empty environment`, () => {
      const file = join(folder, `portforward-${version}-linux-${node}`);
      assert.equal(elfMachine(file), elfMachines[node]);
      const empty = mkdtempSync(join(work, 'empty-'));
      const before = globSync(join(tmpdir(), 'portforward-??????'));
      const run = (...args: string[]): string =>
        execFileSync('env', ['-i', ...starting(node, files(oci)), file, ...args], { cwd: empty, encoding: 'utf8' });
      assert.match(
        run('version', '--check-crypto'),
        new RegExp(`portforward ${version.replaceAll('.', '\\.')}, Node 24[\\s\\S]*native crypto: present`),
      );
      assert.match(run('open', '--help'), /Usage: portforward open \[options\]/);
      assert.deepEqual(readdirSync(empty), []);
      const left = globSync(join(tmpdir(), 'portforward-??????')).filter((name) => !before.includes(name));
      assert.deepEqual(left, [], 'the native crypto is gone from the disk once it is loaded');
    });
  }

  for (const { node, oci } of architectures) {
    test(`linux ${node}: the helper for fly.io answers`, async () => {
      const file = join(folder, `portforward-${version}-linux-${node}-fly-helper`);
      assert.equal(elfMachine(file), elfMachines[node]);
      const [program, ...args] = [...starting(node, files(oci)), file];
      // It ends with its input, also before it has answered: so the input stays open until then.
      const helper = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      try {
        helper.stdin.write('{"id":1,"op":"ping"}\n');
        const [answer] = (await once(helper.stdout, 'data')) as [Buffer];
        assert.deepEqual(JSON.parse(answer.toString()), { id: 1 });
        helper.stdin.end();
        await once(helper, 'exit');
        assert.equal(helper.exitCode, 0);
      } finally {
        helper.kill('SIGKILL');
      }
    });
  }

  test('the one file decrypts a key with a passphrase in its worker, and nothing that lies around is loaded', async () => {
    const here = mkdtempSync(join(work, 'key-'));
    const key = join(here, 'id');
    await command('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'wrong', '-f', key]);
    // Node would look for modules here if anything asked it to.
    const trap = join(here, 'node_modules', 'cpu-features');
    mkdirSync(trap, { recursive: true });
    writeFileSync(
      join(trap, 'index.js'),
      `require('node:fs').writeFileSync(${JSON.stringify(join(here, 'sprung'))}, '')`,
    );
    writeFileSync(join(here, 'sshcrypto.node'), 'not a program');
    const document = {
      apiVersion: 'portforward.dev/v1alpha1',
      kind: 'PortForward',
      metadata: { name: 'orders-db', namespace: 'shop' },
      spec: {
        ports: [{ port: 5432, destinationHost: 'orders.db.internal' }],
        ssh: {
          user: 'tunnel',
          bastions: [{ host: '127.0.0.1', port: 1 }],
          secretRef: { name: 'key' },
          knownHosts: '127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO2Kp1iZ0Zr0v3nVUdCzA7E8zT8gDkqLh6o0yQn8QmXw',
        },
      },
    };
    writeFileSync(join(here, 'document.yaml'), JSON.stringify(document));
    const keys = join(here, 'keys');
    mkdirSync(keys);
    writeFileSync(join(keys, 'ssh-privatekey'), readFileSync(key));
    writeFileSync(join(keys, 'passphrase'), 'right');
    const file = join(folder, `portforward-${version}-linux-${process.arch}`);
    const { status, stderr, stdout } = spawnSync(
      file,
      ['open', '-f', 'document.yaml', '--secret', 'key=./keys', '--port', '0:5432'],
      {
        cwd: here,
        encoding: 'utf8',
        env: {},
        timeout: 60_000,
      },
    );
    assert.equal(status, 1, `${stdout}${stderr}`);
    assert.match(`${stdout}${stderr}`, /PassphraseWrong/);
    assert.ok(!readdirSync(here).includes('sprung'));
  });

  test('the bundle for other machines is installed by npm without a registry, names its Node and has no native part', async () => {
    const archive = join(folder, `portforward-${version}-node.tgz`);
    const prefix = join(work, 'npm');
    await command('npm', ['install', '--global', '--offline', '--no-audit', '--no-fund', '--prefix', prefix, archive]);
    const installed = join(prefix, 'bin', 'portforward');
    assert.match(
      await command(installed, ['version']),
      new RegExp(`^portforward ${version.replaceAll('.', '\\.')}, Node 24`),
    );
    assert.match(await command(installed, ['open', '--help']), /Usage: portforward open/);
    assert.match(
      await command(`${join(prefix, 'bin')}/kubectl-portforward`, ['--help']),
      /Usage: kubectl portforward /,
    );
    const completed = await command(`${join(prefix, 'bin')}/kubectl_complete-portforward`, ['sus']);
    assert.equal(completed, 'suspend\n:4\n');
    const names = readdirSync(join(prefix, 'lib/node_modules/portforward'), { recursive: true }).map(String);
    assert.deepEqual(
      names.filter((name) => /\.(?:node|map)$/.test(name)),
      [],
    );
    const start = readFileSync(join(prefix, 'lib/node_modules/portforward/bin/portforward.cjs'), 'utf8');
    const old = start.replace('#!/usr/bin/env node', '').replace('process.versions.node.split', "'22.1.0'.split");
    const { status, stderr } = spawnSync(process.execPath, ['--eval', old], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, /Node 24 or later is needed/);
  });
});

suite('kubectl’s plugin', () => {
  interface Platform {
    readonly selector: { readonly matchLabels: { readonly os: string; readonly arch?: string } };
    readonly uri: string;
    readonly sha256: string;
    readonly bin: string;
  }

  test('krew’s manifest names each archive by its checksum, and its program answers as the plugin', async () => {
    const { spec, metadata } = parse(text('portforward.krew.yaml')) as {
      metadata: { name: string };
      spec: { version: string; platforms: Platform[] };
    };
    assert.deepEqual([metadata.name, spec.version], ['portforward', `v${version}`]);
    assert.equal(spec.platforms.length, 3);
    const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
    for (const { uri, sha256, bin, selector } of spec.platforms) {
      const archive = join(folder, uri.split('/').at(-1) ?? '');
      assert.equal(createHash('sha256').update(readFileSync(archive)).digest('hex'), sha256);
      const place = mkdtempSync(join(work, 'krew-'));
      await command('tar', ['-xzf', archive, '-C', place]);
      const program = join(place, bin);
      assert.equal(statSync(program).mode & 0o111, 0o111, program);
      if (selector.matchLabels.os === 'linux' && selector.matchLabels.arch !== arch) continue;
      // krew links the program under the plugin's name.
      const link = join(place, 'kubectl-portforward');
      if (link !== program) symlinkSync(program, link);
      assert.match(await command(link, ['status', '--help']), /Usage: kubectl portforward status /);
      const refused: unknown = await command(link, ['nonsense']).catch((error: unknown) => error);
      assert.ok(refused instanceof CommandFailed && refused.exitCode === 2, String(refused));
      assert.doesNotMatch(refused.stderr, /\n +at /, 'a sentence, not a stack');
    }
  });
});

suite('the command that makes it', () => {
  const refused = async (...args: string[]): Promise<string> => {
    const output = join(work, 'refused');
    const run = command(process.execPath, ['scripts/release.ts', '--output', output, ...args], { cwd: root });
    const error = await run.then(
      () => assert.fail('it was not refused'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof CommandFailed);
    assert.equal(error.exitCode, 2);
    assert.doesNotMatch(error.stderr, /\n +at /, 'a sentence, not a stack');
    return error.stderr.trim();
  };

  test('a wrong version, a version that the files do not name, a tag and an unknown option are refused in a sentence', async () => {
    assert.match(
      await refused('--version', 'v1'),
      /^--version v1 is no version: give MAJOR\.MINOR\.PATCH without the v/,
    );
    assert.match(await refused('--version', '99.0.0'), /^the release is 99\.0\.0, but package\.json says/);
    assert.match(await refused('--version', version, '--rehearsal'), /^--base is missing/);
    const tag = ['--base', 'registry.example.com/node:24'];
    assert.match(
      await refused('--version', version, '--rehearsal', ...tag),
      /^--base \S+ names no digest, and a tag can mean/,
    );
    assert.match(await refused('--verison', version), /^Unknown option/);
  });

  test('Ctrl-C ends it with 130 and leaves nothing behind', async () => {
    const place = join(work, 'interrupted');
    const order = ['--version', version, '--base', base, '--rehearsal', '--output', join(place, 'release')];
    // A process group of its own, as a terminal has: Ctrl-C goes to everything that it started, too.
    const child = spawn(process.execPath, ['scripts/release.ts', ...order], {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [first] = (await once(child.stdout, 'data')) as [Buffer];
    assert.match(String(first), /read the base image/);
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 130);
    assert.deepEqual(readdirSync(place), []);
  });

  test('a base with one architecture alone is refused', async () => {
    const source = OciLayout.open(base);
    const [named] = source.index().manifests;
    const { manifests } = source.readJson<Index>(named?.digest ?? '');
    const half = OciLayout.create(join(work, 'half'));
    const first = manifests[0];
    assert.ok(first);
    const manifest = source.readJson<Manifest>(first.digest);
    half.add(source.read(manifest.config.digest), manifest.config.mediaType);
    half.name(half.add(source.read(first.digest), first.mediaType), 'half');
    await assert.rejects(readBase(half.directory, work), /the base has no image for linux\/arm64/);
  });

  test('a base in a registry is fetched by its digest', async () => {
    await using registry = await startRegistry({ base });
    const digest = OciLayout.open(base).index().manifests[0]?.digest ?? '';
    const place = join(work, 'fetched');
    mkdirSync(place);
    const before = process.env['HOME'];
    process.env['HOME'] = homeThatTrusts(registry.address);
    try {
      const fetched = await readBase(`${registry.address}/base:moving@${digest}`, place);
      assert.equal(fetched.digest, digest);
      assert.equal(fetched.name, `${registry.address}/base:moving`);
      assert.deepEqual([...fetched.manifests.keys()], ['amd64', 'arm64']);
    } finally {
      if (before === undefined) delete process.env['HOME'];
      else process.env['HOME'] = before;
    }
  });
});

/** Where skopeo looks for what a person has set up: that registry may be asked without TLS. */
function homeThatTrusts(address: string): string {
  const home = mkdtempSync(join(work, 'home-'));
  mkdirSync(join(home, '.config/containers'), { recursive: true });
  const plain = `[[registry]]\nlocation = "${address}"\ninsecure = true\n`;
  writeFileSync(join(home, '.config/containers/registries.conf'), plain);
  return home;
}

suite('a mirror', () => {
  const inInstall = readPage('docs/install.md').blocks.filter(isShell).flatMap(commandsOf);

  test('the commands of install.md fill it by skopeo with the digests of DIGESTS, and by Helm with the same package', async () => {
    await using registry = await startRegistry();
    const env = {
      HOME: homeThatTrusts(registry.address),
      PATH: `${dirname(cachedProgram('helm'))}:${process.env['PATH'] ?? ''}`,
    };
    const run = (text: string): Promise<string> => {
      const here = text.replaceAll('registry.example.com', registry.address).replaceAll('0.1.0', version);
      return command('bash', ['-euc', here], { cwd: folder, env });
    };
    const copies = inInstall.filter((text) => text.startsWith('skopeo copy '));
    assert.equal(copies.length, 2);
    for (const text of copies) await run(text);
    for (const name of ['portforward', 'charts/portforward']) {
      const digest = registry.digestOfTag(name, version);
      assert.match(text('DIGESTS'), new RegExp(`^${digest}  ${name}:${version}$`, 'm'));
    }
    const [push = '', ...more] = inInstall.filter((each) => each.startsWith('helm push '));
    assert.equal(more.length, 0);
    await run(`${push} --plain-http`);
    const place = join(work, 'from-mirror');
    mkdirSync(place);
    await run(
      `helm pull oci://${registry.address}/charts/portforward --version ${version} --plain-http --destination ${place}`,
    );
    const name = `portforward-${version}.tgz`;
    assert.deepEqual(readFileSync(join(place, name)), readFileSync(join(folder, name)));
  });
});
