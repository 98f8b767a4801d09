// kubectl's plugin for krew (krew.sigs.k8s.io): its manifest, and for Linux an archive with the one file, because krew installs archives only.
// macOS takes the package for Node. Windows is left out: krew starts only .exe files there.
// Neighbours: one-file.ts and node-bundle.ts (what is inside), archive.ts, docs/kubectl.md.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { architectures } from './architectures.ts';
import { gzipped, writeTar } from './archive.ts';

export interface KrewParts {
  readonly version: string;
  readonly epoch: number;
  /** Has the one files and the package for Node; the archives and the manifest are written into it. */
  readonly folder: string;
  readonly licence: string;
  /** Where users will download the files of the release. */
  readonly downloads: string;
  readonly work: string;
}

/** Writes an archive for each architecture of Linux, and the manifest. */
export async function writeKrew({ version, epoch, folder, licence, downloads, work }: KrewParts): Promise<void> {
  const platforms: object[] = [];
  for (const { node, oci } of architectures) {
    const directory = join(work, `krew-${node}`);
    mkdirSync(directory);
    copyFileSync(join(folder, `portforward-${version}-linux-${node}`), join(directory, 'kubectl-portforward'));
    copyFileSync(licence, join(directory, 'LICENSE'));
    const tar = join(work, `krew-${node}.tar`);
    await writeTar(tar, { directory, epoch });
    const file = join(folder, `kubectl-portforward-${version}-linux-${node}.tgz`);
    writeFileSync(file, gzipped(tar));
    platforms.push(platform({ os: 'linux', arch: oci }, file, downloads, 'kubectl-portforward'));
  }
  const bundle = join(folder, `portforward-${version}-node.tgz`);
  platforms.push(platform({ os: 'darwin' }, bundle, downloads, 'package/bin/kubectl-portforward.cjs'));
  writeFileSync(join(folder, 'portforward.krew.yaml'), stringify(manifest(version, platforms), { lineWidth: 0 }));
}

function platform(labels: Readonly<Record<string, string>>, file: string, downloads: string, bin: string): object {
  return {
    selector: { matchLabels: labels },
    uri: `${downloads.replace(/\/$/, '')}/${basename(file)}`,
    sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
    bin,
  };
}

const manifest = (version: string, platforms: readonly object[]): object => ({
  apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
  kind: 'Plugin',
  metadata: { name: 'portforward' },
  spec: {
    version: `v${version}`,
    homepage: 'https://portforward.dev',
    shortDescription: 'Tunnels to private databases: state, logs and the same tunnel here',
    description:
      'Works with the PortForward operator: the state of each port with what to do, the hop at fault, logs,\nreconnect, suspend and resume, and the same tunnel opened on your machine.\n',
    caveats: 'On macOS it needs Node 24 or later.\n',
    platforms,
  },
});
