// Clients of a tunnel to PostgreSQL while something breaks: a psql that stays connected, queries one after the other on new connections, and
// many at once to see when new connections are carried again. Neighbours: ssm-tunnel.ts (the tunnel), ssm-database.ts (the database).
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Postgres } from '../../lab/private-network/postgres.ts';
import { command } from '../../lab/process/command.ts';

export type Account = Pick<Postgres, 'user' | 'password' | 'database'>;

const flags = ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1'];

function target({ user, database }: Account, port: number, connectTimeoutSeconds: number): string {
  return `host=127.0.0.1 port=${port} user=${user} dbname=${database} connect_timeout=${connectTimeoutSeconds} sslmode=disable`;
}

/** One query on a connection of its own; returns the database's address as the server sees it. @throws with psql's words. */
export async function query(
  account: Account,
  port: number,
  timeoutMs = 20_000,
  signal = new AbortController().signal,
): Promise<string> {
  const args = [
    ...flags,
    '-c',
    'SELECT count(*), inet_server_addr() FROM orders',
    target(account, port, timeoutMs / 1000),
  ];
  const env = { PGPASSWORD: account.password };
  const row = await command('psql', args, { env, timeoutMs: timeoutMs + 1_000, signal });
  const [count, address = ''] = row.trim().split('|');
  assert.equal(count, '3');
  return address.replace(/\/32$/, '');
}

/** A psql that keeps its connection. */
class Psql implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  #said = '';
  /** The server's number of this connection: a different number would be a different connection. */
  #backend: string | undefined;
  #asked = 0;

  constructor(account: Account, port: number) {
    this.#child = spawn('psql', [...flags, target(account, port, 20)], {
      env: { ...process.env, PGPASSWORD: account.password },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#lines = createInterface(this.#child.stdout);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    this.#child.stdin.on('error', () => undefined);
  }

  /** Queries answered so far on this connection. */
  get asked(): number {
    return this.#asked;
  }

  /** Sends a new query and checks its answer. @throws with psql's words if the connection is gone or silent for `timeoutMs`. */
  async ask(timeoutMs = 30_000): Promise<void> {
    const number = this.#asked + 1;
    const row = await this.#answer(`SELECT ${number}, pg_backend_pid();`, timeoutMs);
    const [echoed, backend] = row.split('|');
    assert.equal(echoed, `${number}`);
    this.#backend ??= backend;
    assert.equal(backend, this.#backend, 'psql has connected anew');
    this.#asked = number;
  }

  /** Sends a query without waiting for its answer; resolves with psql's last output when psql has ended. */
  async untilEnded(text: string): Promise<string> {
    this.#child.stdin.write(`${text}\n`);
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    return this.#said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2_000);
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    clearTimeout(timer);
  }

  async #answer(text: string, timeoutMs: number): Promise<string> {
    const over = new AbortController();
    const ended = once(this.#child, 'exit', { signal: over.signal }).then(() => {
      throw new Error(`psql has ended: ${this.#said}`);
    });
    const late = delay(timeoutMs, undefined, { signal: over.signal }).then(() => {
      throw new Error(`psql got no answer within ${timeoutMs} ms`);
    });
    const line = once(this.#lines, 'line', { signal: over.signal }) as Promise<[string]>;
    for (const one of [ended, late, line]) one.catch(() => undefined);
    this.#child.stdin.write(`${text}\n`);
    try {
      const [row] = await Promise.race([line, ended, late]);
      return row;
    } finally {
      over.abort();
    }
  }
}

export interface Load {
  /** Queries answered: on the connection that stays, and on new ones. */
  readonly kept: number;
  readonly fresh: number;
  /** The longest that one query took, in milliseconds. */
  readonly slowestMs: number;
}

/** Small queries without a pause until the signal: on one connection that stays, and each on a new one. @throws at the first that fails. */
export async function queryUntil(account: Account, port: number, signal: AbortSignal, pauseMs = 0): Promise<Load> {
  await using kept = new Psql(account, port);
  const load = { kept: 0, fresh: 0, slowestMs: 0 };
  const repeat = async (ask: () => Promise<unknown>, count: () => void): Promise<void> => {
    while (!signal.aborted) {
      const from = performance.now();
      await ask();
      load.slowestMs = Math.max(load.slowestMs, performance.now() - from);
      count();
      await delay(pauseMs);
    }
  };
  await Promise.all([
    repeat(
      () => kept.ask(),
      () => (load.kept += 1),
    ),
    repeat(
      () => query(account, port),
      () => (load.fresh += 1),
    ),
  ]);
  return load;
}

export interface Carried {
  /** From now until the first connection made since then had its answer. */
  readonly firstMs: number;
  /** From now until connections were carried without exception: the start of the last one that had no answer within 2 s. */
  readonly allMs: number;
}

export interface Asking {
  /** Checks the address of the database. */
  readonly accept?: (address: string) => boolean;
  /** How long a client waits before it gives up. */
  readonly patienceMs?: number;
}

/** This many connections in a row, each answered within 2 s, count as recovered. */
const enough = 8;
const promptMs = 2_000;

/**
 * Opens a connection with one query every 200 ms, whether or not the earlier ones ended, until recovered or `limitMs` are over.
 * @throws if none was answered.
 */
export async function untilCarried(
  account: Account,
  port: number,
  limitMs: number,
  { accept = () => true, patienceMs = 4_000 }: Asking = {},
): Promise<Carried> {
  const start = performance.now();
  const over = new AbortController();
  const attempts: { readonly began: number; ended?: number }[] = [];
  const running: Promise<void>[] = [];
  const isPrompt = ({ began, ended }: (typeof attempts)[number]): boolean =>
    ended !== undefined && ended - began <= promptMs;
  const isWell = (): boolean => {
    const old = attempts.filter(
      ({ began, ended }) => ended !== undefined || performance.now() - start - began > promptMs,
    );
    return old.length >= enough && old.slice(-enough).every(isPrompt);
  };
  while (performance.now() - start < limitMs && !isWell()) {
    const attempt: (typeof attempts)[number] = { began: performance.now() - start };
    attempts.push(attempt);
    running.push(
      query(account, port, patienceMs, over.signal).then(
        (address) => {
          if (accept(address)) attempt.ended = performance.now() - start;
        },
        () => undefined,
      ),
    );
    await delay(200);
  }
  await delay(promptMs);
  over.abort();
  await Promise.all(running);
  const answered = attempts.flatMap(({ ended }) => ended ?? []);
  if (answered.length === 0) throw new Error(`no new connection was carried within ${limitMs} ms`);
  return { firstMs: Math.min(...answered), allMs: attempts.findLast((one) => !isPrompt(one))?.began ?? 0 };
}
