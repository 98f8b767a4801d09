// What tests need of the system: the real peers that they talk to (sshd, PostgreSQL, Redis, MariaDB) and the programs that make networks
// and images. What is missing is installed as Debian packages in one go, without starting any service: tests start their own.
// Neighbour: test.ts calls it before the tiers that need peers.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { findProgram } from '../lab/programs/find-program.ts';

/** Package → a program of it that tests start; a program that is there by other means needs no package. */
const peers: ReadonlyArray<readonly [packageName: string, program: string]> = [
  ['openssh-server', 'sshd'],
  ['openssh-client', 'ssh'],
  ['postgresql', 'postgres'],
  ['postgresql-client', 'psql'],
  ['redis-server', 'redis-server'],
  ['redis-tools', 'redis-cli'],
  ['mariadb-server', 'mariadbd'],
  ['mariadb-client', 'mariadb'],
  ['iproute2', 'ip'],
  ['nftables', 'nft'],
  ['util-linux', 'unshare'],
  ['openssl', 'openssl'],
  ['curl', 'curl'],
  ['buildah', 'buildah'],
  ['mmdebstrap', 'mmdebstrap'],
  // A release is for both architectures: its native parts are compiled for the other one, and its image is started.
  process.arch === 'arm64'
    ? ['g++-x86-64-linux-gnu', 'x86_64-linux-gnu-g++']
    : ['g++-aarch64-linux-gnu', 'aarch64-linux-gnu-g++'],
  ['qemu-user-static', 'qemu-aarch64-static'],
  ['skopeo', 'skopeo'],
];

/** Returns when every peer's program is there. @throws Error that names what is missing and the command that installs it. */
export async function ensurePeers(): Promise<void> {
  // Debian keeps the server's programs in a directory of their version, off the PATH.
  const directories = globSync('/usr/lib/postgresql/*/bin');
  const missing = peers.filter(([, program]) => findProgram(program, directories) === undefined);
  if (missing.length === 0) return;
  const packages = missing.map(([name]) => name);
  const install = ['apt-get', 'install', '--yes', '--quiet', '--no-install-recommends', ...packages];
  const needed = `tests need ${missing.map(([, program]) => program).join(', ')}`;
  const byHand = `install the packages of your system for them (Debian: sudo ${install.join(' ')})`;
  if (findProgram('apt-get') === undefined) throw new Error(`${needed}: ${byHand}`);
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '--non-interactive'];
  if (asRoot.length > 0 && spawnSync('sudo', ['--non-interactive', 'true']).status !== 0) {
    throw new Error(`${needed}, and this user may not install packages without a password: ${byHand}`);
  }
  console.log(`${needed}; to be installed: ${packages.join(' ')} (no service of them is started)`);
  if (!(await agreed())) throw new Error(`${needed}: ${byHand}`);
  // A mirror that drops one of many downloads must not end the run.
  const retries = ['-o', 'Acquire::Retries=3'];
  aptGet([...asRoot, 'apt-get', 'update', '--quiet', ...retries]);
  withoutStartingServices(asRoot, () => aptGet([...asRoot, ...install, ...retries]));
}

async function agreed(): Promise<boolean> {
  if (process.env['CI'] === 'true' || process.argv.includes('--yes')) return true;
  if (!process.stdin.isTTY) throw new Error('nobody to ask: run the command with --yes, or set CI=true');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question('Install them now? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}

function aptGet([program = '', ...args]: readonly string[]): void {
  // Through env, because sudo drops our environment.
  const front = program === 'sudo' ? ['env', 'DEBIAN_FRONTEND=noninteractive'] : [];
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const cut = program === 'sudo' ? 1 : 0;
  const result = spawnSync(program, [...args.slice(0, cut), ...front, ...args.slice(cut)], {
    stdio: 'inherit',
    env: environment,
  });
  if (result.status !== 0) throw new Error(`${[program, ...args].join(' ')} failed (exit ${result.status})`);
}

/** Debian asks this file before it starts a service; present only while packages are installed, unless the machine has its own. */
function withoutStartingServices(asRoot: readonly string[], install: () => void): void {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return install();
  const shell = (script: string): void => {
    const [program, ...args] = [...asRoot, 'sh', '-c', script];
    const { status } = spawnSync(program ?? 'sh', args, { stdio: 'inherit' });
    if (status !== 0) throw new Error(`cannot write ${policy}`);
  };
  shell(`printf '#!/bin/sh\\nexit 101\\n' > ${policy} && chmod 755 ${policy}`);
  try {
    install();
  } finally {
    shell(`rm -f ${policy}`);
  }
}
