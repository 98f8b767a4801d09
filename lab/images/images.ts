// The images that come with the test cluster, made from this machine's Debian packages and the pinned Node, once per recipe:
// the base of the project's own image, a client with the databases' command-line programs, and the pause image of every pod.
// Neighbours: archive.ts writes them, image-build.ts builds the project's Dockerfile on the base.
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '../base/places.ts';
import { type Log, step } from '../base/progress.ts';
import { command } from '../process/command.ts';
import { withLock } from '../process/lock.ts';
import { writeArchive, writeLayer } from './archive.ts';

export interface Image {
  /** What a pod names, with `imagePullPolicy: Never`. */
  readonly reference: string;
  /** The file that loads it. */
  readonly archive: string;
}

interface Recipe {
  /** mmdebstrap's name for a set of Debian packages to start from; undefined for an image without a system. */
  readonly variant?: 'essential' | 'minbase';
  /** Debian packages over that set. */
  readonly packages?: readonly string[];
  /** Files of this machine that are put into the image: source → place. */
  readonly files?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  /** Seconds that making it takes. */
  readonly usual: number;
}

const root = join(import.meta.dirname, '..', '..');
const node = join(root, 'node_modules', 'node');

const recipes = {
  base: {
    // Without apt, and without certificates (Node has its own): every megabyte is pulled by every node of a real cluster.
    variant: 'essential',
    packages: ['libatomic1', 'libstdc++6'],
    files: { [join(node, 'bin', 'node')]: '/usr/local/bin/node' },
    command: ['node'],
    usual: 40,
  },
  client: {
    variant: 'minbase',
    packages: ['ca-certificates', 'curl', 'netcat-openbsd', 'openssl', 'postgresql-client', 'redis-tools'],
    // Clients wait to be told what to do: `kubectl exec`.
    command: ['sleep', 'infinity'],
    usual: 60,
  },
  pause: { files: { '/usr/bin/catatonit': '/pause' }, entrypoint: ['/pause', '-P'], usual: 1 },
} as const satisfies Readonly<Record<string, Recipe>>;

export type ImageName = keyof typeof recipes;

export interface ImageOptions {
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/** Debian's minimal system and the pinned Node's one binary: the base that the project's Dockerfile takes as `BASE_IMAGE` here. */
export const baseImage = (options: ImageOptions): Promise<Image> => ensureImage('base', options);

/** For test pods: psql, redis-cli, curl, openssl, nc and Debian's core programs. Sleeps until its pod is deleted. */
export const clientImage = (options: ImageOptions): Promise<Image> => ensureImage('client', options);

/** The image's name and file, whether or not it has been made. */
export function describeImage(name: ImageName): Image {
  const recipe: Recipe = recipes[name];
  const parts = {
    ...recipe,
    usual: '',
    suite: suite(),
    arch: process.arch,
    node: nodeVersion(),
    root: '',
    files: Object.values(recipe.files ?? {}),
  };
  const version = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
  return {
    reference: `localhost/portforward/${name}:${version}`,
    archive: join(cacheDirectory(), 'images', `${name}-${version}.tar`),
  };
}

/** Whether it must be made first. */
export function imageMissing(name: ImageName): boolean {
  return !existsSync(describeImage(name).archive);
}

/** Makes the image if the cache lacks it. Needs root or unprivileged user namespaces, and network for Debian's packages. */
export async function ensureImage(name: ImageName, { log, signal }: ImageOptions): Promise<Image> {
  const image = describeImage(name);
  if (existsSync(image.archive)) return image;
  const directory = dirname(image.archive);
  mkdirSync(directory, { recursive: true });
  const work = async (): Promise<void> => {
    if (existsSync(image.archive)) return;
    // Those of a run that was killed.
    for (const left of globSync(`.image-${name}-*`, { cwd: directory }))
      rmSync(join(directory, left), { recursive: true, force: true });
    await step(log, `make the image ${name}`, () => make(name, image, signal), { usualSeconds: recipes[name].usual });
  };
  await withLock(join(directory, `${name}.lock`), work, signal === undefined ? {} : { signal });
  return image;
}

async function make(name: ImageName, image: Image, signal: AbortSignal | undefined): Promise<void> {
  const recipe: Recipe = recipes[name];
  const work = mkdtempSync(join(dirname(image.archive), `.image-${name}-`));
  try {
    const layers: string[] = [];
    if (recipe.variant !== undefined) {
      const system = join(work, 'system.tar');
      await debian(system, recipe.variant, recipe.packages ?? [], signal);
      layers.push(system);
    }
    if (recipe.files !== undefined) {
      const files = join(work, 'files');
      for (const [from, to] of Object.entries(recipe.files)) {
        const place = join(files, to);
        mkdirSync(dirname(place), { recursive: true });
        copyFileSync(from, place);
        chmodSync(place, 0o755);
      }
      await writeLayer(`${files}.tar`, files);
      layers.push(`${files}.tar`);
    }
    await writeArchive({
      file: image.archive,
      reference: image.reference,
      layers,
      ...(recipe.entrypoint === undefined ? {} : { entrypoint: recipe.entrypoint }),
      ...(recipe.command === undefined ? {} : { command: recipe.command }),
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A root file system of Debian packages, without manuals, translations and character set tables. */
async function debian(
  file: string,
  variant: string,
  packages: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const excluded = [
    '/usr/share/doc/*',
    '/usr/share/man/*',
    '/usr/share/locale/*',
    '/usr/share/info/*',
    '/usr/lib/*/gconv/*',
  ];
  const args = ['--quiet', `--variant=${variant}`, `--include=${packages.join(',')}`];
  for (const path of excluded) args.push(`--dpkgopt=path-exclude=${path}`);
  args.push('--aptopt=Acquire::Retries "3"');
  args.push('--aptopt=Acquire::Languages "none"', '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/*');
  await command('mmdebstrap', [...args, suite(), file], {
    timeoutMs: 15 * 60_000,
    // Interrupted, it unmounts what it has mounted.
    interrupt: true,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The machine's own Debian release, because its keys and package sources are the ones at hand. */
function suite(): string {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const debianHost = /^ID=debian$/m.test(release);
  return (debianHost ? /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1] : undefined) ?? 'bookworm';
}

function nodeVersion(): string {
  const { version } = JSON.parse(readFileSync(join(node, 'package.json'), 'utf8')) as { version: string };
  return version;
}
