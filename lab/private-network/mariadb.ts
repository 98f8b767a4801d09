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

/** Resolves when it accepts connections. It blocks an address after that many broken handshakes in a row, and logs each one. */
export async function startMariadb(options: { readonly maxConnectErrors: number }): Promise<Mariadb> {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-mariadb-'));
  chmodSync(directory, 0o755);
  const [data, socket] = [join(directory, 'data'), join(directory, 'socket')];
  const user = ['--no-defaults', '--user=root'];
  await command('mariadb-install-db', [...user, `--datadir=${data}`, '--auth-root-authentication-method=normal']);
  const host = '127.0.0.1';
  const { child, port } = await onFreePorts(1, host, async ([free = 0]) => {
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
    const server = new Child('mariadbd', 'mariadbd', [...user, ...settings]);
    await server.line(/ready for connections/, 60_000);
    return { child: server, port: free };
  });
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
