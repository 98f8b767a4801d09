// What tests and the demo need of the system: the real peers that they talk to (sshd and other bastions, PostgreSQL, Redis, MariaDB, Prometheus) and the programs that make
// networks and images. What is missing is installed as Debian packages in one go.
// Neighbours: test.ts calls it before the tiers that need peers, and demo.ts; lab/programs/debian.ts installs.
import { existsSync, globSync } from 'node:fs';
import { consents } from '../lab/base/consent.ts';
import { type InstallOptions, installPackages } from '../lab/programs/debian.ts';
import { findProgram } from '../lab/programs/find-program.ts';

/** Package → a program of it that tests start, or a path of it; a program that is there by other means needs no package. */
const peers: ReadonlyArray<readonly [packageName: string, program: string]> = [
  ['openssh-server', 'sshd'],
  ['openssh-client', 'ssh'],
  ['postgresql', 'postgres'],
  ['postgresql-client', 'psql'],
  ['redis-server', 'redis-server'],
  ['redis-tools', 'redis-cli'],
  ['mariadb-server', 'mariadbd'],
  ['mariadb-client', 'mariadb'],
  ['dropbear-bin', 'dropbear'],
  ['python3-asyncssh', '/usr/lib/python3/dist-packages/asyncssh'],
  ['python3-paramiko', '/usr/lib/python3/dist-packages/paramiko'],
  ['iproute2', 'ip'],
  ['nftables', 'nft'],
  ['util-linux', 'unshare'],
  ['openssl', 'openssl'],
  ['curl', 'curl'],
  ['zsh', 'zsh'],
  ['fish', 'fish'],
  ['buildah', 'buildah'],
  ['mmdebstrap', 'mmdebstrap'],
  // A release is for both architectures: its native parts are compiled for the other one, and its image is started.
  process.arch === 'arm64'
    ? ['g++-x86-64-linux-gnu', 'x86_64-linux-gnu-g++']
    : ['g++-aarch64-linux-gnu', 'aarch64-linux-gnu-g++'],
  ['qemu-user-static', 'qemu-aarch64-static'],
  ['skopeo', 'skopeo'],
  ['prometheus', 'promtool'],
];

/** Returns when every peer's program is installed; with `only`, those of these packages. @throws Error that names what is missing and the command that installs it. */
export async function ensurePeers(
  options: InstallOptions & { readonly only?: readonly string[]; readonly yes?: boolean },
): Promise<void> {
  // Debian keeps the server's programs in a directory of their version, off the PATH.
  const directories = globSync('/usr/lib/postgresql/*/bin');
  const missing = peers
    .filter(([name]) => options.only?.includes(name) ?? true)
    .filter(([, program]) => !(program.startsWith('/') ? existsSync(program) : findProgram(program, directories)))
    .map(([name]) => name);
  if (missing.length === 0) return;
  const changes = [`Debian packages ${missing.join(' ')} (they stay; none of their services is started)`];
  if (!(await consents('To be installed on this machine:', changes, options))) {
    throw new Error(`not agreed to: install ${missing.join(' ')} yourself and call this again`);
  }
  await installPackages(missing, options);
}
