// A real PostgreSQL server for one test, with one database `orders` that holds rows to show.
// Neighbours: sshd.ts (the bastion before it), lab/process/child.ts (owns the process).
import { chownSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Child } from '../process/child.ts';
import { command } from '../process/command.ts';
import { onFreePorts } from '../process/ports.ts';
import { asUser, isOnlyUser } from '../process/user.ts';

export interface PostgresOptions {
  /** Listen address. Default: 127.0.0.1. */
  readonly host?: string;
  readonly port?: number;
  /** Run it in this network namespace. */
  readonly namespace?: string;
  /** TLS with a certificate of its own. */
  readonly ssl?: boolean;
}

export interface Postgres {
  readonly host: string;
  readonly port: number;
  readonly user: 'orders';
  readonly password: string;
  readonly database: 'orders';
  /** Unix socket of the server. */
  readonly socket: string;
  /** Ends it at once (`immediate` shutdown): the port then refuses. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Silence: connections are accepted by the kernel, nothing answers. */
  pause(): void;
  resume(): void;
  log(): readonly string[];
  stop(): Promise<void>;
}

const rows = `
CREATE TABLE orders (id int PRIMARY KEY, customer text NOT NULL, total numeric(10,2) NOT NULL);
INSERT INTO orders VALUES (1, 'Ada', 120.50), (2, 'Grace', 80.00), (3, 'Barbara', 42.42);
`;

/** Resolves when it accepts queries. Runs as the user `postgres`, because PostgreSQL refuses root. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const program = globSync('/usr/lib/postgresql/*/bin/postgres').toSorted().at(-1);
  if (program === undefined) throw new Error('PostgreSQL is not installed (Debian: apt-get install postgresql)');
  const programs = dirname(program);
  const uid = Number(await command('id', ['-u', 'postgres']));
  const gid = Number(await command('id', ['-g', 'postgres']));
  const [front = '', ...asOther] = asUser(uid, gid);
  const directory = mkdtempSync(join(tmpdir(), 'portforward-pg-'));
  // The only user has it already, and can give it to nobody else.
  const give = (file: string): void => (isOnlyUser() ? undefined : chownSync(file, uid, gid));
  give(directory);
  const data = join(directory, 'data');
  const password = 'correct-horse';
  const asPostgres = (name: string, args: readonly string[], input?: string): Promise<string> =>
    command(front, [...asOther, join(programs, name), ...args], {
      cwd: directory,
      ...(input === undefined ? {} : { input }),
    });
  await asPostgres('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-N']);
  writeFileSync(join(data, 'pg_hba.conf'), 'local all all trust\nhost all all all scram-sha-256\n');
  const single = ['--single', '-D', data, '-j'];
  // With -j a statement ends at a semicolon and an empty line.
  await asPostgres(
    'postgres',
    [...single, 'postgres'],
    `CREATE ROLE orders LOGIN PASSWORD '${password}';\n\nCREATE DATABASE orders OWNER orders;\n\n`,
  );
  await asPostgres(
    'postgres',
    [...single, 'orders'],
    `SET ROLE orders;\n\n${rows.trim().replaceAll(';\n', ';\n\n')}\n\n`,
  );
  if (options.ssl === true) {
    const certificate = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '30',
      '-subj',
      '/CN=orders.db.internal',
    ];
    await command('openssl', [...certificate, '-keyout', join(data, 'server.key'), '-out', join(data, 'server.crt')]);
    for (const name of ['server.key', 'server.crt']) give(join(data, name));
  }
  const host = options.host ?? '127.0.0.1';
  let port = options.port ?? 0;

  let child: Child;
  const start = async (): Promise<void> => {
    const settings = {
      listen_addresses: host,
      port: `${port}`,
      unix_socket_directories: directory,
      fsync: 'off',
      max_connections: '300',
      log_connections: 'on',
      ssl: options.ssl === true ? 'on' : 'off',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const own = [front, ...asOther, program, '-D', data, ...flags];
    const [first = '', ...rest] =
      options.namespace === undefined ? own : ['ip', 'netns', 'exec', options.namespace, ...own];
    child = new Child('postgres', first, rest, { cwd: directory, stopSignal: 'SIGQUIT' });
    await child.line(/database system is ready to accept connections/, 60_000);
  };
  if (options.port !== undefined) await start();
  else {
    await onFreePorts(1, options.namespace === undefined ? host : undefined, async ([free = 0]) => {
      port = free;
      await start();
    });
  }
  return {
    host,
    port,
    user: 'orders',
    password,
    database: 'orders',
    socket: join(directory, `.s.PGSQL.${port}`),
    kill: () => child.stop(),
    start,
    pause: () => child.signal('SIGSTOP', { tree: true }),
    resume: () => child.signal('SIGCONT', { tree: true }),
    log: () => child.log(),
    stop: async () => {
      await child.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
