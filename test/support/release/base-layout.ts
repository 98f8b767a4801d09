// A base image for both architectures as an OCI layout, from Debian's packages and npm's Node: libraries, Node and nothing else, as
// distroless images are. Packages are unpacked without their scripts, so that no architecture has to be run. Made once, kept in the cache.
// Neighbours: release-folder.ts builds a release on it; lab/images/ has the base of this machine's architecture.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory } from '../../../lab/base/places.ts';
import { command } from '../../../lab/process/command.ts';
import { withLock } from '../../../lab/process/lock.ts';
import { type Architecture, architectures } from '../../../scripts/release/architectures.ts';
import { gzipped, writeTar } from '../../../scripts/release/archive.ts';
import { npmPackage } from '../../../scripts/release/npm-packages.ts';
import { type Descriptor, digestOf, mediaType, OciLayout } from '../../../scripts/release/oci-layout.ts';

const suite = 'bookworm';
const debianPackages = ['base-files', 'libatomic1', 'libc6', 'libgcc-s1', 'libstdc++6'];

/** The layout's folder. */
export async function baseLayout(): Promise<string> {
  const key = createHash('sha256')
    .update(readFileSync(import.meta.filename))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheDirectory(), 'release', `base-${key}`);
  mkdirSync(join(folder, '..'), { recursive: true });
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    const work = mkdtempSync(join(tmpdir(), 'portforward-base-'));
    try {
      const layout = OciLayout.create(`${folder}.new`);
      const manifests: Descriptor[] = [];
      for (const architecture of architectures) manifests.push(await platform(layout, architecture, work));
      const index = layout.addJson({ schemaVersion: 2, mediaType: mediaType.index, manifests }, mediaType.index);
      layout.name(index, 'base');
      renameSync(`${folder}.new`, folder);
    } finally {
      rmSync(`${folder}.new`, { recursive: true, force: true });
      rmSync(work, { recursive: true, force: true });
    }
  });
  return folder;
}

async function platform(layout: OciLayout, { node, oci }: Architecture, work: string): Promise<Descriptor> {
  const system = join(work, `${node}.tar`);
  await command(
    'mmdebstrap',
    [
      '--quiet',
      '--variant=extract',
      `--architectures=${oci}`,
      `--include=${debianPackages.join(',')}`,
      '--dpkgopt=path-exclude=/usr/share/doc/*',
      '--aptopt=Acquire::Retries "3"',
      '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/dev/*',
      suite,
      system,
    ],
    { timeoutMs: 10 * 60_000, env: { SOURCE_DATE_EPOCH: '0' } },
  );
  const program = join(work, node);
  mkdirSync(join(program, 'bin'), { recursive: true });
  cpSync(join(await npmPackage(`node-linux-${node}`), 'bin', 'node'), join(program, 'bin', 'node'));
  const tar = join(work, `${node}-node.tar`);
  await writeTar(tar, { directory: program, epoch: 0, prefix: 'usr/local/' });
  const layers = [system, tar].map((file) => layout.add(gzipped(file), mediaType.layer));
  const config = layout.addJson(
    {
      architecture: oci,
      os: 'linux',
      config: { Env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'SSL_CERT_DIR=/etc/ssl/certs'], Cmd: ['node'] },
      rootfs: { type: 'layers', diff_ids: [system, tar].map((file) => digestOf(readFileSync(file))) },
    },
    mediaType.config,
  );
  const manifest = layout.addJson(
    { schemaVersion: 2, mediaType: mediaType.manifest, config, layers },
    mediaType.manifest,
  );
  return { ...manifest, platform: { architecture: oci, os: 'linux' } };
}
