// A real MariaDB server for one test, which counts broken handshakes as a production server does. Neighbours: postgres.ts, redis.ts;
// lab/process/child.ts owns the process.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../process/child.ts';
import { command } from '../process/command.ts';
import { onFreePorts } from '../process/ports.ts';

export interface Mariadb {
  readonly host: string;
  readonly port: number;
  /** What the query prints, asked over its unix socket, so that no counter of the network moves. */
  query(sql: string): Promise<string>;
  log(): readonly string[];
  stop(): Promise<void>;
}

export interface MariadbOptions {
  /** So many broken handshakes in a row, each of them logged, and it blocks the address. */
  readonly maxConnectErrors: number;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly namespace?: string;
}

/** Resolves when it accepts connections. */
export async function startMariadb(options: MariadbOptions): Promise<Mariadb> {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-mariadb-'));
  chmodSync(directory, 0o755);
  const [data, socket] = [join(directory, 'data'), join(directory, 'socket')];
  const user = ['--no-defaults', '--user=root'];
  await command('mariadb-install-db', [...user, `--datadir=${data}`, '--auth-root-authentication-method=normal']);
  const { host = '127.0.0.1', namespace } = options;
  const start = async (free: number): Promise<{ readonly child: Child; readonly port: number }> => {
    const settings = [
      `--datadir=${data}`,
      `--socket=${socket}`,
      `--bind-address=${host}`,
      `--port=${free}`,
      `--max-connect-errors=${options.maxConnectErrors}`,
      // Aborted connections too.
      '--log-warnings=9',
      '--performance-schema=ON',
    ];
    const own = ['mariadbd', ...user, ...settings];
    const [first = '', ...rest] = namespace === undefined ? own : ['ip', 'netns', 'exec', namespace, ...own];
    const server = new Child('mariadbd', first, rest);
    await server.line(/ready for connections/, 60_000);
    return { child: server, port: free };
  };
  const { child, port } =
    options.port === undefined
      ? await onFreePorts(1, namespace === undefined ? host : undefined, async ([free = 0]) => await start(free))
      : await start(options.port);
  return {
    host,
    port,
    query: async (sql) =>
      await command('mariadb', ['--no-defaults', '-S', socket, '-u', 'root', '-N', '-B', '-e', sql]),
    log: () => child.log(),
    stop: async () => {
      await child.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
