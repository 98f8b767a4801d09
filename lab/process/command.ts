// Runs a program to its end and returns what it printed: the only way in which the test cluster and the private network call
// `ip`, `openssl`, `ctr`, `kubectl` and the like.
// Neighbours: child.ts and kept-process.ts, for programs that stay.
import { type ChildProcess, spawn } from 'node:child_process';
import { signalProcess } from './proc.ts';

export interface CommandOptions {
  /** Written to the program's standard input, which is empty otherwise. */
  readonly input?: string | Buffer;
  /** Ends the program by SIGKILL when it aborts. */
  readonly signal?: AbortSignal;
  /**
   * For a program that cleans up when it is interrupted, such as a build: it and all that it started get SIGINT then, and SIGKILL 20 s
   * later. It has a process group of its own, so that a terminal's Ctrl-C reaches it through `signal` alone.
   */
  readonly interrupt?: boolean;
  /** The longest that the program may run, in milliseconds. Default: two minutes. */
  readonly timeoutMs?: number;
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with each line of standard error as it comes. */
  readonly onStderrLine?: (line: string) => void;
}

/** A program ended with an exit status other than 0, or could not be started; `stderr` is what it printed there. */
export class CommandFailed extends Error {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;

  constructor(what: string, result: { stdout: string; stderr: string; exitCode: number | null }, cause?: unknown) {
    const said = result.stderr.trim() || result.stdout.trim();
    super(`${what}${said === '' ? '' : `: ${said.slice(-4000)}`}`, { cause });
    this.name = 'CommandFailed';
    this.stdout = result.stdout;
    this.stderr = result.stderr;
    this.exitCode = result.exitCode;
  }
}

/** Resolves with the whole of standard output when the program exited with 0. @throws CommandFailed otherwise, with what it said. */
export async function command(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  options.signal?.throwIfAborted();
  const { timeoutMs = 120_000, interrupt = false } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: options.env === undefined ? process.env : { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(interrupt ? { detached: true } : { signal, killSignal: 'SIGKILL' }),
  });
  const ended = interrupt ? interruptWhen(signal, child) : () => {};
  let stdout = '';
  let stderr = '';
  let unfinished = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    // Builds print for minutes; only the end of it explains a failure.
    stderr = (stderr + text).slice(-64_000);
    if (options.onStderrLine === undefined) return;
    const lines = (unfinished + text).split('\n');
    unfinished = lines.pop() ?? '';
    for (const line of lines) options.onStderrLine(line);
  });
  // A program may end without reading its input; its exit status says whether that was an error.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const line = [program, ...args].join(' ').slice(0, 300);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once('error', (error) => {
    if (!signal.aborted) reject(new CommandFailed(`cannot start ${line}`, { stdout, stderr, exitCode: null }, error));
  });
  child.once('close', (exitCode, killedBy) => {
    ended();
    if (options.signal?.aborted === true) return reject(options.signal.reason);
    const result = { stdout, stderr, exitCode };
    if (timeout.aborted) return reject(new CommandFailed(`${line} did not end within ${timeoutMs} ms`, result));
    if (exitCode === 0) return resolve(stdout);
    reject(new CommandFailed(`${line} failed (${exitCode === null ? killedBy : `exit ${exitCode}`})`, result));
  });
  return promise;
}

/** Returns what forgets it again, once the program has ended. */
function interruptWhen(signal: AbortSignal, child: ChildProcess): () => void {
  let killer: NodeJS.Timeout | undefined;
  const send = (name: NodeJS.Signals): void => {
    // Its process group has its number, and may outlive it. A program that could not be started has no group.
    if (child.pid !== undefined) signalProcess(-child.pid, name);
  };
  const onAbort = (): void => {
    send('SIGINT');
    killer = setTimeout(send, 20_000, 'SIGKILL');
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return () => {
    clearTimeout(killer);
    signal.removeEventListener('abort', onAbort);
  };
}

/** Whether the program ended with exit status 0; what it printed is dropped. */
export async function succeeds(program: string, args: readonly string[], options?: CommandOptions): Promise<boolean> {
  try {
    await command(program, args, options);
    return true;
  } catch (error) {
    if (error instanceof CommandFailed) return false;
    throw error;
  }
}
