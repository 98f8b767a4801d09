// A server that belongs to one test process: started, watched, ended with it. The kernel ends it even when the test process is
// killed without a chance to clean up.
// Neighbours: api-server.ts, and the servers of lab/private-network.
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { descendantsOf, signalProcess } from './proc.ts';

export interface ChildOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  /** The signal that asks it to end before SIGKILL. Default: SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** Lines of output that are kept for `log()`, newest last. Default: 2,000. */
  readonly keptLines?: number;
}

/** Becomes the program after it has asked the kernel to kill it together with this process. */
const leader = 'setpriv';

/** A running server and the last of what it printed, both streams in one. */
export class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #stopSignal: NodeJS.Signals;
  readonly #lines: string[] = [];
  readonly #watchers = new Set<() => void>();
  #end: string | undefined;

  constructor(name: string, program: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = name;
    this.#stopSignal = options.stopSignal ?? 'SIGTERM';
    const { cwd, env, uid, gid, keptLines = 2000 } = options;
    this.#process = spawn(leader, ['--pdeathsig', 'KILL', '--', program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    for (const output of [this.#process.stdout, this.#process.stderr]) {
      let unfinished = '';
      output?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (unfinished + text).split('\n');
        unfinished = lines.pop() ?? '';
        this.#lines.push(...lines);
        this.#lines.splice(0, this.#lines.length - keptLines);
        for (const watcher of this.#watchers) watcher();
      });
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    const ended = (how: string): void => {
      this.#end ??= how;
      for (const watcher of this.#watchers) watcher();
      resolve();
    };
    this.#process.once('error', (error) => ended(error.message));
    this.#process.once('exit', (code, signal) => {
      const how = signal ?? `exit ${code}`;
      // Its last words are read first, for as long as nothing that it started keeps the pipes open.
      const patience = setTimeout(ended, 500, how);
      this.#process.once('close', () => {
        clearTimeout(patience);
        ended(how);
      });
    });
  }

  /** @throws Error if it could not be started at all. */
  get pid(): number {
    if (this.#process.pid === undefined) throw new Error(`${this.name} could not be started: ${this.#end}`);
    return this.#process.pid;
  }

  /** How it ended, or undefined while it runs. */
  get end(): string | undefined {
    return this.#end;
  }

  /** The kept lines of its output. */
  log(): readonly string[] {
    return this.#lines;
  }

  /** Resolves once `ready()` is true; asked again at every line of output and every 50 ms. @throws Error with the last output when it ends first or `timeoutMs` pass. */
  async until(ready: () => boolean | Promise<boolean>, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await ready())) {
      signal?.throwIfAborted();
      const output = (): string => `\n${this.#lines.slice(-20).join('\n')}`;
      if (this.#end !== undefined) throw new Error(`${this.name} ended (${this.#end}) before it was ready:${output()}`);
      if (performance.now() > deadline) throw new Error(`${this.name} not ready within ${timeoutMs} ms:${output()}`);
      await this.#nextLine(50);
    }
  }

  /** Resolves with the first line, kept or to come, that matches. @throws Error as `until` does. */
  async line(pattern: RegExp, timeoutMs = 30_000, from = 0): Promise<string> {
    let found: string | undefined;
    await this.until(
      () => (found = this.#lines.slice(from).find((line) => pattern.test(line))) !== undefined,
      timeoutMs,
    );
    return found ?? '';
  }

  /** Sends a signal to it and, with `tree`, to all that it started. */
  signal(signal: NodeJS.Signals, options: { readonly tree?: boolean } = {}): void {
    if (this.#process.pid === undefined) return;
    const more = options.tree === true ? descendantsOf(this.#process.pid) : [];
    if (this.#end === undefined) signalProcess(this.#process.pid, signal);
    for (const pid of more) signalProcess(pid, signal);
  }

  /** Ends it and all that it started: asks, waits up to `graceMs`, then kills. Resolves when it is gone; safe to call twice. */
  async stop(graceMs = 5_000): Promise<void> {
    if (this.#end === undefined) {
      const tree = this.#process.pid === undefined ? [] : descendantsOf(this.#process.pid);
      // A stopped process takes no other signal.
      this.signal('SIGCONT', { tree: true });
      this.signal(this.#stopSignal);
      await Promise.race([this.#exited, delay(graceMs, undefined, { ref: false })]);
      this.signal('SIGKILL', { tree: true });
      for (const pid of tree) signalProcess(pid, 'SIGKILL');
    }
    await this.#exited;
  }

  /** Kills it and all that it started, at once; resolves when it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL', { tree: true });
    await this.#exited;
  }

  async #nextLine(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#watchers.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#watchers.delete(resolve);
  }
}
