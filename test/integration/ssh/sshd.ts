// A real sshd of this machine on a loopback port, with its own keys, configuration and log, for tests of the ssh driver.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

export interface SshdOptions {
  /** Lines of sshd_config that come first, and so win. */
  readonly config?: readonly string[];
  readonly hostKeyTypes?: readonly ('ed25519' | 'rsa' | 'ecdsa')[];
  readonly port?: number;
  /** Lines of authorized_keys besides that of the generated key. */
  readonly authorizedKeys?: readonly string[];
}

export interface Sshd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly directory: string;
  /** A key that may log in, as ssh-keygen wrote it. */
  readonly privateKey: string;
  /** `type base64` of each host key. */
  readonly hostKeys: readonly string[];
  /** known_hosts lines that name this sshd. */
  readonly knownHosts: string;
  readonly process: ChildProcess;
  /** Process ids of the sshd processes that serve one connection each. */
  connections(): readonly number[];
  log(): Promise<string>;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** `type base64` of a new key pair, and the file that holds its private half. */
export function keygen(file: string, ...args: readonly string[]): string {
  execFileSync('ssh-keygen', ['-q', '-f', file, '-C', '', ...args]);
  return execFileSync('cat', [`${file}.pub`], { encoding: 'utf8' }).trim();
}

export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const directory = await mkdtemp(join(tmpdir(), 'portforward-sshd-'));
  const port = options.port ?? (await freePort());
  const hostKeys = (options.hostKeyTypes ?? ['ed25519']).map((type) =>
    keygen(join(directory, `host_${type}`), '-t', type, '-N', ''),
  );
  const authorized = [keygen(join(directory, 'user'), '-t', 'ed25519', '-N', ''), ...(options.authorizedKeys ?? [])];
  await writeFile(join(directory, 'authorized_keys'), `${authorized.join('\n')}\n`);
  await writeFile(
    join(directory, 'sshd_config'),
    [
      ...(options.config ?? []),
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      ...(options.hostKeyTypes ?? ['ed25519']).map((type) => `HostKey ${join(directory, `host_${type}`)}`),
      `AuthorizedKeysFile ${join(directory, 'authorized_keys')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin yes',
      'MaxStartups 100:30:200',
      'LogLevel VERBOSE',
      'PidFile none',
      '',
    ].join('\n'),
  );
  if (userInfo().uid === 0 && !existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  const child = spawn('/usr/sbin/sshd', ['-D', '-f', join(directory, 'sshd_config'), '-E', join(directory, 'log')], {
    stdio: 'ignore',
  });
  const log = () => readFile(join(directory, 'log'), 'utf8').catch(() => '');
  const deadline = Date.now() + 10_000;
  while (!(await log()).includes('Server listening')) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`sshd does not start: ${await log()}`);
    await new Promise((done) => setTimeout(done, 20));
  }
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const connections = () => {
    try {
      return execFileSync('pgrep', ['-P', String(child.pid)], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map(Number);
    } catch {
      return [];
    }
  };
  return {
    host: '127.0.0.1',
    port,
    user: userInfo().username,
    directory,
    privateKey: await readFile(join(directory, 'user'), 'utf8'),
    hostKeys,
    knownHosts: hostKeys.map((key) => `[127.0.0.1]:${port} ${key}\n`).join(''),
    process: child,
    connections,
    log,
    async stop() {
      for (const pid of connections()) kill(pid, 'SIGKILL');
      child.kill('SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A signal to one process that may be gone already. */
export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone.
  }
}
