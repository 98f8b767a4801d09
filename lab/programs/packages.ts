// The Debian packages that the cluster's node and the images need.
// Neighbours: host-cluster.ts lists what is missing before it changes the machine; debian.ts installs it.
import { existsSync } from 'node:fs';
import type { Log } from '../base/progress.ts';
import { succeeds } from '../process/command.ts';
import { installPackages } from './debian.ts';
import { findProgram } from './find-program.ts';
import { installedGo } from './go.ts';
import { missingPrograms } from './programs.ts';

/** Package → the file of it that is used; a name without a path is looked up among the programs. */
const packages: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  runc: 'runc',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  buildah: 'buildah',
  mmdebstrap: 'mmdebstrap',
  catatonit: 'catatonit',
  openssl: 'openssl',
  iproute2: 'ip',
  nftables: 'nft',
  iptables: 'iptables',
  conntrack: 'conntrack',
  mount: 'mount',
  'util-linux': 'nsenter',
};

/** Names of the packages whose programs this machine lacks: for the node, and for building its programs if any must be built. */
export async function missingPackages(): Promise<string[]> {
  const isThere = (file: string): boolean =>
    file.startsWith('/') ? existsSync(file) : findProgram(file) !== undefined;
  const names = Object.entries(packages)
    .filter(([, file]) => !isThere(file))
    .map(([name]) => name);
  const builds = missingPrograms().length > 0 && (await installedGo()) === undefined;
  // pip fetches Go, which Debian has in too old a version.
  if (builds && !(await succeeds('python3', ['-m', 'pip', '--version']))) names.push('python3-pip');
  return names;
}

/** Returns when all are installed. @throws Error with apt's words, or one that lists the packages where there is no apt. */
export async function ensurePackages(log: Log, signal?: AbortSignal): Promise<void> {
  const missing = await missingPackages();
  if (missing.length > 0) await installPackages(missing, { log, signal });
}
