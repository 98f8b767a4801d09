// The Debian packages that the node and the images need. What is missing is installed in one go, and no service of it is started.
// Neighbours: host-cluster.ts lists them before it changes the machine.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { type Log, step } from '../base/progress.ts';
import { command, succeeds } from '../process/command.ts';
import { installedGo } from './go.ts';
import { missingPrograms } from './programs.ts';

/** Package → the file of it that is used. Bare names are looked up on the PATH and in the directories of administrators. */
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

/** Names of the packages whose programs this machine lacks: for the node, and for building its programs if they must be built. */
export async function missingPackages(): Promise<string[]> {
  const missing = Object.entries(packages).filter(([, file]) => !isThere(file));
  const names = missing.map(([name]) => name);
  const builds = missingPrograms().length > 0 && (await installedGo()) === undefined;
  // pip brings Go, which Debian has in too old a version.
  if (builds && !(await succeeds('python3', ['-m', 'pip', '--version']))) names.push('python3-pip');
  return names;
}

/** Returns when all are there. @throws Error with apt's words, or one that lists the packages where there is no apt. */
export async function ensurePackages(log: Log, signal?: AbortSignal): Promise<void> {
  const missing = await missingPackages();
  if (missing.length === 0) return;
  if (!isThere('apt-get')) {
    throw new Error(`the test cluster needs ${missing.join(', ')}: install your system's packages of these names`);
  }
  const abort = signal === undefined ? {} : { signal };
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 15 * 60_000, ...abort };
  await step(log, `install ${missing.join(' ')}`, async () => {
    // A mirror that drops one of many downloads must not end the run.
    const quiet = ['--quiet', '-o', 'Acquire::Retries=3'];
    await command('apt-get', ['update', ...quiet], options);
    await withoutStartingServices(() =>
      command('apt-get', ['install', '--yes', ...quiet, '--no-install-recommends', ...missing], options),
    );
  });
}

function isThere(file: string): boolean {
  if (file.startsWith('/')) return existsSync(file);
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories.some((directory) => directory !== '' && existsSync(`${directory}/${file}`));
}

/** Debian asks this file before it starts a service; it is there only meanwhile, unless the machine has its own. */
async function withoutStartingServices(install: () => Promise<unknown>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) {
    await install();
    return;
  }
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await install();
  } finally {
    rmSync(policy, { force: true });
  }
}
