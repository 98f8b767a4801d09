// A real OpenSSH server for one test: its own keys, users, passwords and names, none of which touch the machine's. Runs on loopback,
// or inside a network namespace of network.ts.
// Neighbours: postgres.ts and redis.ts are what tunnels lead to; lab/process/child.ts owns the process.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeWhole } from '../base/whole-file.ts';
import { Child } from '../process/child.ts';
import { command } from '../process/command.ts';
import { onFreePorts } from '../process/ports.ts';
import { descendantsOf, signalProcess } from '../process/proc.ts';
import { asUser, isOnlyUser } from '../process/user.ts';
import { ownEtc } from './own-etc.ts';
import { etcWithTunnel, type TunnelUserOptions, tunnelId } from './tunnel-user.ts';

export interface SshdOptions extends Pick<TunnelUserOptions, 'ages' | 'pam'> {
  /** Listen address. Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: a free port. */
  readonly port?: number;
  /** Lines for sshd_config that come before ours, so that they win (sshd takes the first value). */
  readonly config?: readonly string[];
  /** Public keys of the user `tunnel`, with options before them where wanted. */
  readonly authorizedKeys?: readonly string[];
  /** Allows password authentication of the user `tunnel` with this password. */
  readonly password?: string;
  /** Names that resolve on this bastion only, as lines of /etc/hosts: `{ 'orders.db.internal': '127.0.0.1' }`. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Run it in this network namespace. */
  readonly namespace?: string;
  /** Soft limit of open files. */
  readonly openFiles?: number;
  /** Default: the machine's own. */
  readonly release?: SshdRelease;
}

/** Another OpenSSH than the machine's own. */
export interface SshdRelease {
  readonly sshd: string;
  /** Lines that tell it where its other programs are. */
  readonly config: readonly string[];
}

/** The types of host keys that every server has. */
export type HostKeyType = 'ed25519' | 'rsa' | 'ecdsa';

export interface KeyPair {
  /** The private key file's content. */
  readonly privateKey: string;
  /** One line of authorized_keys. */
  readonly publicKey: string;
  /** Where both are; removed with the test's directory. */
  readonly file: string;
}

export interface Sshd {
  readonly host: string;
  readonly port: number;
  /** The only user; its key is in `authorizedKeys`. */
  readonly user: 'tunnel';
  /** Temporary, removed by `stop`. */
  readonly directory: string;
  /** `<name> ssh-ed25519 AAAA…`; the name is by default `[host]:port`. */
  knownHosts(options?: { readonly name?: string; readonly types?: readonly HostKeyType[] }): string;
  /** SHA256:… of a host key. */
  fingerprint(type?: HostKeyType): Promise<string>;
  /** Replaces the authorized keys; takes effect at the next authentication. */
  authorize(keys: readonly string[]): void;
  /** Starts again on the same port, with these lines in place of the first ones. */
  configure(config: readonly string[]): Promise<void>;
  /** Makes new host keys and starts again with them. */
  changeHostKeys(): Promise<void>;
  /** Ids of the processes that serve sessions now. */
  sessions(): number[];
  /** Kills the processes that serve sessions; the listener stays. */
  killSessions(): void;
  /** Kills listener and sessions: the port then refuses. */
  kill(): Promise<void>;
  /** True while it is killed. */
  isDown(): boolean;
  /** Starts it again on the same port after `kill`. */
  start(): Promise<void>;
  /** Stops and continues every process of it: silence. */
  pause(): void;
  resume(): void;
  /** What it logged (LogLevel VERBOSE). */
  log(): readonly string[];
  stop(): Promise<void>;
}

const hostKeyTypes: readonly HostKeyType[] = ['ed25519', 'rsa', 'ecdsa'];

/** Makes a key pair in `directory`, encrypted when a passphrase is given. */
export async function generateKey(
  directory: string,
  options: {
    readonly type?: HostKeyType;
    readonly passphrase?: string;
    readonly name?: string;
    readonly rounds?: number;
    readonly format?: 'PEM' | 'PKCS8' | 'RFC4716';
  } = {},
): Promise<KeyPair> {
  const { type = 'ed25519', passphrase = '', name = `id_${type}`, rounds, format } = options;
  const file = join(directory, name);
  rmSync(file, { force: true });
  rmSync(`${file}.pub`, { force: true });
  const bits = type === 'rsa' ? ['-b', '2048'] : [];
  const more = [...(rounds === undefined ? [] : ['-a', `${rounds}`]), ...(format === undefined ? [] : ['-m', format])];
  await command('ssh-keygen', ['-q', '-t', type, ...bits, ...more, '-N', passphrase, '-C', 'tunnel', '-f', file]);
  return {
    file,
    privateKey: readFileSync(file, 'utf8'),
    publicKey: readFileSync(`${file}.pub`, 'utf8').trim(),
  };
}

/** Resolves when it answers. Needs root, or to be the root of a user namespace: its users and names are an /etc of its own in a mount namespace. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  if (process.getuid?.() !== 0) throw new Error('the test sshd needs root (user, password and names of its own)');
  const directory = mkdtempSync(join(tmpdir(), 'portforward-sshd-'));
  // sshd looks at every directory above authorized_keys, and its user must reach it.
  chmodSync(directory, 0o755);
  const host = options.host ?? '127.0.0.1';
  const makeHostKeys = (): Promise<unknown> =>
    Promise.all(hostKeyTypes.map((type) => generateKey(directory, { type, name: `host_${type}` })));
  // At once: a session that logs in meanwhile reads the keys before or those after, never half of them.
  const authorize = (keys: readonly string[]): void =>
    writeWhole(join(directory, 'authorized_keys'), `${keys.join('\n')}\n`);

  await makeHostKeys();
  authorize(options.authorizedKeys ?? []);
  const mountEtc = ownEtc(directory, await etcWithTunnel(options));
  mkdirSync('/run/sshd', { recursive: true });

  let child: Child;
  const launch = async (): Promise<void> => {
    const limit = options.openFiles === undefined ? [] : [`ulimit -Sn ${options.openFiles}`];
    // Root's sshd changes to its users. Where there is one user only, that one is `tunnel` itself.
    const user = isOnlyUser() ? asUser(tunnelId, tunnelId) : [];
    const sshd = [
      'exec',
      ...user,
      options.release?.sshd ?? '/usr/sbin/sshd',
      '-D',
      '-e',
      '-f',
      `${directory}/sshd_config`,
    ].join(' ');
    const script = [mountEtc, ...limit, sshd].join(' && ');
    // In a process namespace of its own: its end takes every session with it, one that is being forked at that moment too.
    const own = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
    const shell = ['unshare', ...own, 'sh', '-c', script];
    const inside = options.namespace === undefined ? shell : ['ip', 'netns', 'exec', options.namespace, ...shell];
    const [program = '', ...args] = inside;
    child = new Child('sshd', program, args, { keptLines: 20_000 });
    await child.line(/Server listening on/);
  };
  let port = 0;
  const launchOn = async (on: number): Promise<void> => {
    port = on;
    writeFileSync(join(directory, 'sshd_config'), sshdConfig(directory, host, port, options));
    await launch();
  };
  if (options.port !== undefined) await launchOn(options.port);
  else await onFreePorts(1, options.namespace === undefined ? host : undefined, ([free = 0]) => launchOn(free));

  /** Below unshare is sshd itself, below that its sessions. */
  const sessions = (): number[] => descendantsOf(child.pid).slice(1);
  const publicKey = (type: HostKeyType): string =>
    readFileSync(join(directory, `host_${type}.pub`), 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ');
  const server: Sshd = {
    host,
    port,
    user: 'tunnel',
    directory,
    authorize,
    sessions,
    knownHosts: ({ name = `[${host}]:${port}`, types = hostKeyTypes } = {}) =>
      types.map((type) => `${name} ${publicKey(type)}\n`).join(''),
    fingerprint: async (type = 'ed25519') =>
      (await command('ssh-keygen', ['-lf', join(directory, `host_${type}.pub`)])).split(' ')[1] ?? '',
    configure: async (config) => {
      await child.kill();
      writeFileSync(join(directory, 'sshd_config'), sshdConfig(directory, host, port, { ...options, config }));
      await launch();
    },
    changeHostKeys: async () => {
      await child.kill();
      await makeHostKeys();
      await launch();
    },
    killSessions: () => {
      for (const pid of sessions()) signalProcess(pid, 'SIGKILL');
    },
    kill: () => child.kill(),
    isDown: () => child.end !== undefined,
    start: launch,
    pause: () => child.signal('SIGSTOP', { tree: true }),
    resume: () => child.signal('SIGCONT', { tree: true }),
    log: () => child.log(),
    stop: async () => {
      await child.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return server;
}

/** True once the port answers with an SSH greeting. */
export function greets(host: string, port: number, timeoutMs = 2_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('data', (data) => end(data.toString().startsWith('SSH-2.0')));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
  });
}

function sshdConfig(directory: string, host: string, port: number, options: SshdOptions): string {
  return `${[
    ...(options.config ?? []),
    ...(options.release?.config ?? []),
    `ListenAddress ${host}`,
    `Port ${port}`,
    'PidFile none',
    'UsePAM no',
    'UseDNS no',
    'LogLevel VERBOSE',
    `PasswordAuthentication ${options.password === undefined ? 'no' : 'yes'}`,
    'KbdInteractiveAuthentication no',
    'PermitRootLogin no',
    'StrictModes no',
    'AllowUsers tunnel',
    `AuthorizedKeysFile ${directory}/authorized_keys`,
    ...hostKeyTypes.map((type) => `HostKey ${directory}/host_${type}`),
    // Of this one sshd takes the last line, not the first.
    ...((options.config ?? []).some((line) => line.startsWith('MaxStartups')) ? [] : ['MaxStartups 100:30:200']),
  ].join('\n')}\n`;
}
