// How a script ends: with a sentence and an exit code for whatever can be foreseen, and on Ctrl-C only after it has cleaned up.
// Neighbours: the scripts of scripts/ and lab/cluster/cli.ts run inside it.
import { constants } from 'node:os';
import { cacheDirectory } from '../base/places.ts';
import { CommandFailed } from './command.ts';

/** The script was called in a way that it does not know; it ends with exit code 2. */
export class WrongCall extends Error {
  override readonly name: string = 'WrongCall';
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `main` and ends the process: with the exit code that it gives (default: 0), with 1 and a sentence when it throws, 2 for a `WrongCall`.
 * SIGINT, SIGTERM and SIGHUP abort the signal; the process ends as by that signal once `main` has returned.
 */
export async function runScript(main: (signal: AbortSignal) => Promise<number | void>): Promise<never> {
  const abort = new AbortController();
  let received: (typeof signals)[number] | undefined;
  for (const signal of signals) {
    process.on(signal, () => {
      // A terminal sends it to the whole group, and the caller sends it on.
      if (received !== undefined) return;
      received = signal;
      process.stderr.write(`\n${signal}: cleaning up\n`);
      abort.abort(new Error(`ended by ${signal}`));
    });
  }
  // The reader has gone, as with `| head`: nobody is left to be told anything.
  const unread = (): void => abort.abort(new Error('nobody reads the output any more'));
  process.stdout.on('error', unread);
  process.stderr.on('error', unread);
  try {
    const code = (await main(abort.signal)) ?? 0;
    process.exit(received === undefined ? code : exitCode(received));
  } catch (error) {
    if (received !== undefined) process.exit(exitCode(received));
    process.stderr.write(`${sentenceOf(error)}\n`);
    const wrongCall = error instanceof WrongCall || codeOf(error).startsWith('ERR_PARSE_ARGS');
    process.exit(wrongCall ? 2 : 1);
  }
}

/** Node's code of an error, such as `ENOENT`. */
const codeOf = (error: unknown): string =>
  error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? '') : '';

const exitCode = (signal: (typeof signals)[number]): number => 128 + constants.signals[signal];

/** What went wrong, and what to do where that is known. Only a fault of ours shows where in the code it happened. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const fault = [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => error instanceof kind);
  // Node's own errors about arguments are a person's to correct.
  if (fault && !codeOf(error).startsWith('ERR_')) return error.stack ?? error.message;
  const advice = adviceFor(error);
  return advice === undefined ? error.message : `${error.message}\n${advice}`;
}

function adviceFor(error: Error): string | undefined {
  const cause = error.cause instanceof Error ? (error.cause as NodeJS.ErrnoException) : undefined;
  if (error instanceof CommandFailed && cause?.code === 'ENOENT')
    return 'A program is missing: install it, put it on the PATH, and call this again.';
  const said = `${error.message} ${cause?.message ?? ''}`;
  return advices.find(({ when }) => when.test(said))?.advice();
}

const advices: ReadonlyArray<{ readonly when: RegExp; readonly advice: () => string }> = [
  {
    when: /ENOSPC|No space left on device/i,
    advice: () =>
      `The disk is full: free some space and call this again. What is finished is kept in ${cacheDirectory()}.`,
  },
  {
    when: /EAI_AGAIN|ENETUNREACH|Temporary failure|Could not resolve|no such host|Network is unreachable|dial tcp/i,
    advice: () =>
      'The network does not answer, and packages or modules come from it the first time: check it (and HTTPS_PROXY), and call this again. What is finished is kept.',
  },
  {
    when: /EADDRINUSE|address already in use/i,
    advice: () => 'Another program has that port: end it and call this again.',
  },
  {
    when: /\b(EACCES|EPERM)\b|Operation not permitted|Permission denied/i,
    advice: () => 'This user may not do that: call it as root, for example with sudo.',
  },
];
