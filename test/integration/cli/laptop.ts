// What a person at a laptop has: a folder with documents and keys, and the command.
// Neighbours: open.test.ts, check.test.ts.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeWhole } from '../../../lab/base/whole-file.ts';
import type { Postgres } from '../../../lab/private-network/postgres.ts';
import type { Sshd } from '../../../lab/private-network/sshd.ts';
import { Child } from '../../../lab/process/child.ts';
import { command } from '../../../lab/process/command.ts';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

/** Runs `portforward …` from the sources. The caller stops it. */
export function portforward(args: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
  return new Child('portforward', process.execPath, [main, ...args], { env });
}

/** Resolves when it has ended, with `exit <code>` and all that it printed. */
export async function ended(
  child: Child,
  timeoutMs = 60_000,
): Promise<{ readonly end: string; readonly output: string }> {
  try {
    await child.until(() => child.end !== undefined, timeoutMs);
  } catch (error) {
    if (child.end === undefined) throw error;
  }
  return { end: child.end ?? '', output: child.log().join('\n') };
}

/** The local port that the command printed for the forward. */
export async function localPort(opened: Child, name: string): Promise<number> {
  const line = await opened.line(new RegExp(`\\(${name}\\)$`));
  return Number(/:(\d+) → /.exec(line)?.[1]);
}

/** What psql prints for the orders behind a local port, one customer per line. */
export async function customers({ user, password, database }: Postgres, port: number): Promise<string> {
  const url = `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`;
  const select = 'SELECT customer FROM orders ORDER BY id';
  return command('psql', [url, '--no-psqlrc', '--tuples-only', '--no-align', '--command', select]);
}

/** A folder of the test's own. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'portforward-laptop-'));

  /** Writes a file at once, with the folders above it; gives its path. */
  write(name: string, content: string): string {
    const file = join(this.path, name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeWhole(file, content, 0o600);
    return file;
  }

  /** Writes a program. */
  executable(name: string, content: string): void {
    chmodSync(this.write(name, content), 0o755);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A PortForward through that bastion, as YAML. */
export function documentThrough(
  sshd: Pick<Sshd, 'host' | 'port' | 'user'>,
  more: Readonly<Record<string, unknown>> = {},
): string {
  const { ports = [{ port: 5432 }], ssh = {}, ...rest } = more;
  return stringify({
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: { name: 'orders-db', namespace: 'shop' },
    spec: {
      ports,
      ssh: {
        user: sshd.user,
        bastions: [{ host: sshd.host, port: sshd.port }],
        secretRef: { name: 'orders-bastion' },
        ...(ssh as Record<string, unknown>),
      },
      ...rest,
    },
  });
}
