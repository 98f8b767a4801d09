// Bastions that are not OpenSSH: Dropbear, and one each on the libraries that bastions are written with (Go's, asyncssh, paramiko).
// Each lets one user in by key, and resolves no names but its own.
// Neighbours: go/ and the two Python files are the servers, lab/private-network/sshd.ts is the real sshd.
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeWhole } from '../../../lab/base/whole-file.ts';
import { ownEtc } from '../../../lab/private-network/own-etc.ts';
import { generateKey } from '../../../lab/private-network/sshd.ts';
import { etcWithTunnel, tunnelId } from '../../../lab/private-network/tunnel-user.ts';
import { Child } from '../../../lab/process/child.ts';
import { command } from '../../../lab/process/command.ts';
import { onFreePorts } from '../../../lab/process/ports.ts';
import { goProgram } from '../go-program.ts';

export interface OtherBastion {
  readonly host: string;
  readonly port: number;
  /** Of known_hosts. */
  readonly knownHosts: string;
  /** Replaces the authorized keys; takes effect at the next login. */
  authorize(keys: readonly string[]): void;
  log(): readonly string[];
  stop(): Promise<void>;
}

/** Where a server finds its keys, and how often it exchanges new ones, if it can be told. */
interface Place {
  readonly hostKey: string;
  readonly authorized: string;
  readonly rekeyBytes: number;
}

const host = '127.0.0.1';
/** Debian's own Python, which its packages are for. */
const python = '/usr/bin/python3';

const programs = {
  Go: async ({ hostKey, authorized, rekeyBytes }: Place) => {
    const program = await goProgram({ name: 'bastion', directory: join(import.meta.dirname, 'go'), package: '.' });
    return [program, '-host-key', hostKey, '-authorized', authorized, '-rekey-bytes', `${rekeyBytes}`];
  },
  asyncssh: async (place: Place) => [python, join(import.meta.dirname, 'asyncssh-bastion.py'), JSON.stringify(place)],
  paramiko: async (place: Place) => [python, join(import.meta.dirname, 'paramiko-bastion.py'), JSON.stringify(place)],
} as const;

export type OtherKind = keyof typeof programs | 'Dropbear';

/** Resolves when it listens. Needs root, as a real sshd does. `rekeyBytes` is nothing to Dropbear, which exchanges keys after 1 GiB. */
export async function startOtherBastion(kind: OtherKind, rekeyBytes: number): Promise<OtherBastion> {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-bastion-'));
  chmodSync(directory, 0o755);
  const hostKey = (await generateKey(directory, { name: 'host' })).file;
  const publicKey = readFileSync(`${hostKey}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  const home = join(directory, 'home');
  const authorized = join(home, '.ssh', 'authorized_keys');
  mkdirSync(join(home, '.ssh'), { recursive: true });
  const authorize = (keys: readonly string[]): void => {
    writeWhole(authorized, keys.map((key) => `${key}\n`).join(''));
    // Dropbear reads it as the user, and believes no file of others.
    for (const path of [home, join(home, '.ssh'), authorized]) chownSync(path, tunnelId, tunnelId);
  };
  authorize([]);
  const mountEtc = ownEtc(directory, await etcWithTunnel({ home }));

  const start = (words: readonly string[]): Child => {
    const own = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
    const script = `${mountEtc} && exec "$@"`;
    return new Child(kind, 'unshare', [...own, 'sh', '-c', script, 'sh', ...words]);
  };
  const dropbear = async (at: number): Promise<{ child: Child; port: number }> => {
    const child = start([
      'dropbear',
      '-F',
      '-E',
      '-s',
      '-r',
      join(directory, 'dropbear'),
      '-p',
      `${host}:${at}`,
      '-P',
      join(directory, 'pid'),
    ]);
    await child.line(/Not backgrounding/);
    return { child, port: at };
  };
  let server: { child: Child; port: number };
  if (kind === 'Dropbear') {
    await command('dropbearconvert', ['openssh', 'dropbear', hostKey, join(directory, 'dropbear')]);
    server = await onFreePorts(1, host, ([free = 0]) => dropbear(free));
  } else {
    const child = start(await programs[kind]({ hostKey, authorized, rekeyBytes }));
    const line = await child.line(/listening on port \d+/);
    server = { child, port: Number(/\d+/.exec(line)?.[0]) };
  }
  const { child, port } = server;
  return {
    host,
    port,
    knownHosts: `[${host}]:${port} ${publicKey}\n`,
    authorize,
    log: () => child.log(),
    stop: async () => {
      await child.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
