// `npm run demo -- --laptop`: a first look without a cluster. Two bastions with real sshd and a private PostgreSQL, `portforward open`
// of the README's document, psql's rows; then the bastion in use is killed, and the rows come through the other one.
// All of it happens in network and mount namespaces of this process, as root or as the root of a user namespace: the machine is not
// changed, and the kernel takes everything away with the process.
// Neighbours: lab/private-network/ (bastions and database), readme-document.ts (what is opened), src/cli/open.ts (what is shown).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { duration } from '../../lab/base/progress.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../lab/private-network/network.ts';
import { Child } from '../../lab/process/child.ts';
import { CommandFailed, command } from '../../lab/process/command.ts';
import { ensurePeers } from '../system-packages.ts';
import { type ReadmeDocument, readmeDocument } from './readme-document.ts';
import type { Screen } from './screen.ts';

const root = join(import.meta.dirname, '..', '..');

const peers = ['openssh-server', 'openssh-client', 'postgresql', 'postgresql-client', 'iproute2', 'util-linux'];

/** Installs what is missing, and runs `laptopLook` in namespaces of its own. Resolves with its exit code. @throws Error if this machine allows no namespaces. */
export async function laptopLookInNamespaces(screen: Screen, signal: AbortSignal): Promise<number> {
  await ensurePeers({ log: screen.log, signal, only: peers });
  if (process.platform !== 'linux') throw new Error('The look needs network namespaces, which only Linux has.');
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const namespaces = [...user, '--net', '--mount', '--propagation', 'private', '--'];
  try {
    await command('unshare', [...namespaces, 'sh', '-c', 'mount -t tmpfs tmpfs /run && ip link set lo up'], { signal });
  } catch (error) {
    if (!(error instanceof CommandFailed) || signal.aborted) throw error;
    const advice =
      user.length === 0 ? 'run it on the machine itself, or in a container with --privileged' : 'run it with sudo';
    throw new Error(`This machine lets this user make no network namespaces (${error.stderr.trim()}): ${advice}.`, {
      cause: error,
    });
  }
  const script = join(root, 'scripts', 'demo.ts');
  const child = spawn('unshare', [...namespaces, process.execPath, script, '--laptop-inside'], { stdio: 'inherit' });
  const pass = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', pass, { once: true });
  const [code] = (await once(child, 'exit')) as [number | null];
  signal.removeEventListener('abort', pass);
  return code ?? 1;
}

/** The look itself. Everything that it makes lies in file systems of its own mount namespace. */
export async function laptopLook(screen: Screen, signal: AbortSignal): Promise<void> {
  // Locks, sockets, keys and the database's files: gone with the namespace, however the process ends.
  for (const directory of ['/run', '/var/tmp']) await command('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
  process.env['TMPDIR'] = '/run/look';
  mkdirSync('/run/look', { mode: 0o755 });
  await command('ip', ['link', 'set', 'lo', 'up']);
  screen.say('PortForward: from a laptop to a row of a private database');
  const network = await screen.chapter('A private network: two bastions with sshd, PostgreSQL behind them', () =>
    startPrivateNetwork(),
  );
  const directory = mkdtempSync('/run/look/laptop-');
  let opened: Child | undefined;
  try {
    const { documents, hosts } = readmeDocument(network);
    const file = join(directory, 'orders-db.yaml');
    writeFileSync(file, documents.map((document) => stringify(document)).join('---\n'), { mode: 0o600 });
    await resolveHere(screen, network, hosts);
    await screen.chapter('psql straight to the database: it must not reach it', async () => {
      screen.quote(`psql -h ${network.postgres.host}`, await unreachable(network));
    });
    signal.throwIfAborted();
    opened = new Child('portforward', process.execPath, [join(root, 'src', 'main.ts'), 'open', '-f', file]);
    await showFailover(screen, network, { hosts, opened }, signal);
    screen.say(`\nDone in ${screen.sinceStart()}. Nothing of it is left. With a real cluster: npm run demo`);
  } finally {
    await opened?.stop();
    await network.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The names of the document's bastions resolve in this mount namespace from now on. */
async function resolveHere(screen: Screen, network: PrivateNetwork, hosts: ReadmeDocument['hosts']): Promise<void> {
  const names = hosts.map(({ name, bastion }) => `${bastion.address} ${name}`);
  const file = '/run/look/hosts';
  writeFileSync(file, ['127.0.0.1 localhost', ...names, ''].join('\n'));
  await command('mount', ['--bind', file, '/etc/hosts']);
  for (const name of names) screen.detail(`${name}, in front of ${network.databaseName} (${network.postgres.host})`);
}

async function showFailover(
  screen: Screen,
  network: PrivateNetwork,
  { hosts, opened }: { readonly hosts: ReadmeDocument['hosts']; readonly opened: Child },
  signal: AbortSignal,
): Promise<void> {
  let shown = 0;
  const show = (): void => {
    const lines = opened.log().slice(shown);
    for (const line of lines) screen.detail(line);
    shown += lines.length;
  };
  const rows = await screen.chapter('portforward open -f orders-db.yaml, and psql to 127.0.0.1:5432', async () => {
    await opened.line(/connected via/);
    show();
    const got = await query(network, signal);
    screen.quote("psql -h 127.0.0.1 -c 'select * from orders'", got.rows);
    return got.rows;
  });
  for (const attempt of ['The bastion in use is killed', 'It is back, and the other one is killed'] as const) {
    signal.throwIfAborted();
    await screen.chapter(attempt, async () => {
      for (const { bastion } of hosts) if (bastion.isDown()) await bastion.start();
      // Where the first bastion was slow, the second was used for a moment.
      show();
      const seen = opened.log().length;
      const via = opened.log().findLast((line) => line.includes('connected via')) ?? '';
      const used = hosts.find(({ name }) => via.includes(` ${name}:`));
      if (used === undefined) throw new Error(`this names none of the bastions: ${via}`);
      await used.bastion.kill();
      screen.detail(`${used.name} is killed, with every session on it`);
      const got = await query(network, signal);
      if (got.rows !== rows) throw new Error(`these are not the rows: ${got.rows}`);
      await opened.line(/connected via/, 30_000, seen);
      show();
      screen.quote(
        `psql -h 127.0.0.1 (${duration(got.milliseconds)} until the rows, ${got.attempts === 1 ? 'at the first attempt' : `${got.attempts} attempts`})`,
        got.rows,
      );
    });
  }
}

const target = ({ postgres }: PrivateNetwork, host: string): string =>
  `host=${host} user=${postgres.user} dbname=${postgres.database} password=${postgres.password} connect_timeout=10`;

const psql = (where: string, select: string, signal?: AbortSignal): Promise<string> =>
  command('psql', ['--no-psqlrc', '-At', '-c', select, where], signal === undefined ? {} : { signal });

/** What psql says without a tunnel. @throws Error if it gets an answer. */
async function unreachable(network: PrivateNetwork): Promise<string> {
  try {
    await psql(target(network, network.postgres.host), 'select 1');
  } catch (error) {
    if (error instanceof CommandFailed) return error.stderr;
    throw error;
  }
  throw new Error('the database was reached without a tunnel: the network is not private');
}

/** The rows through the tunnel, asked for until they come, for 30 s at most. */
async function query(
  network: PrivateNetwork,
  signal: AbortSignal,
): Promise<{ readonly rows: string; readonly milliseconds: number; readonly attempts: number }> {
  const started = performance.now();
  for (let attempts = 1; ; attempts += 1) {
    try {
      const rows = await psql(
        target(network, '127.0.0.1'),
        'select id, customer, total from orders order by id',
        signal,
      );
      return { rows, milliseconds: performance.now() - started, attempts };
    } catch (error) {
      if (!(error instanceof CommandFailed) || performance.now() - started > 30_000) throw error;
    }
  }
}
