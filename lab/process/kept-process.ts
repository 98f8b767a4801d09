// Processes that outlive the command that started them. Each one's id and start time stay in a file, so that a later command
// knows whether it still runs and ends exactly that one.
// Neighbour: host-cluster.ts keeps the node and everything inside it this way.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { childrenOf, parentOf, signalProcess, startedAt } from './proc.ts';

export interface KeepOptions {
  /** The program's id is that of the first child of what is started here, which only leads it into its namespaces. */
  readonly led?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** The kept processes of one run directory. */
export class KeptProcesses {
  readonly #ids: string;
  readonly #logs: string;

  constructor(directory: string, logs: string) {
    this.#ids = join(directory, 'processes');
    this.#logs = logs;
  }

  /** Starts it detached, its output appended to a log file of its name, and returns its id once that is written down. */
  async start(name: string, program: string, args: readonly string[], options: KeepOptions = {}): Promise<number> {
    mkdirSync(this.#ids, { recursive: true });
    mkdirSync(this.#logs, { recursive: true });
    const log = openSync(this.logFile(name), 'a');
    try {
      const child = spawn(program, args, {
        detached: true,
        cwd: '/',
        stdio: ['ignore', log, log],
        env: { ...process.env, ...options.env },
      });
      const failed = new Promise<never>((_, reject) => child.once('error', reject));
      child.unref();
      const pid = await Promise.race([failed, options.led === true ? this.#ledBy(name, child.pid) : child.pid]);
      if (pid === undefined) return await failed;
      writeFileSync(this.#file(name), `${pid} ${startedAt(pid) ?? ''}\n`);
      return pid;
    } finally {
      closeSync(log);
    }
  }

  /** Its id while it lives, else undefined. */
  pid(name: string): number | undefined {
    const file = this.#file(name);
    if (!existsSync(file)) return undefined;
    const [pid, started] = readFileSync(file, 'utf8').trim().split(' ');
    const found = startedAt(Number(pid));
    return found !== undefined && found === started ? Number(pid) : undefined;
  }

  /** Kills it and resolves when it is gone; nothing happens if it is gone already. @throws Error if it does not die within 20 s. */
  async kill(name: string): Promise<void> {
    const pid = this.pid(name);
    if (pid !== undefined) {
      const leader = parentOf(pid);
      signalProcess(pid, 'SIGKILL');
      // nsenter stops itself with a program that was stopped, and stays so. Until it has read the end, the namespaces of the node stay, too.
      if (leader !== undefined && leader > 1) signalProcess(leader, 'SIGCONT');
      const deadline = performance.now() + 20_000;
      while (this.pid(name) !== undefined) {
        if (performance.now() > deadline) throw new Error(`${name} (process ${pid}) does not die`);
        await delay(20);
      }
    }
    rmSync(this.#file(name), { force: true });
  }

  logFile(name: string): string {
    return join(this.#logs, `${name}.log`);
  }

  /** The last lines of its log. */
  lastWords(name: string, lines = 15): string {
    const file = this.logFile(name);
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n') : '';
  }

  /** Resolves once `ready()` is true. @throws Error with its last words when it ends first or `timeoutMs` pass. */
  async until(
    name: string,
    ready: () => Promise<boolean>,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<void> {
    const deadline = performance.now() + options.timeoutMs;
    while (!(await ready())) {
      options.signal?.throwIfAborted();
      const told = (what: string): Error =>
        new Error(`${name} ${what}; ${this.logFile(name)} ends with:\n${this.lastWords(name)}`);
      if (this.pid(name) === undefined) throw told('ended before it was ready');
      if (performance.now() > deadline) throw told(`not ready within ${options.timeoutMs / 1000} s`);
      await delay(100);
    }
  }

  #file(name: string): string {
    return join(this.#ids, name);
  }

  async #ledBy(name: string, leader: number | undefined): Promise<number | undefined> {
    if (leader === undefined) return undefined;
    const deadline = performance.now() + 10_000;
    while (performance.now() < deadline) {
      const [child] = childrenOf(leader);
      if (child !== undefined) return child;
      if (startedAt(leader) === undefined) break;
      await delay(5);
    }
    throw new Error(`${name} could not be started:\n${this.lastWords(name)}`);
  }
}
