// Runs a process from start to exit: the only file that listens to the signals of the operating system and ends the process.
// Neighbours: the subcommands of src/cli/ that keep running call it once; everything below them gets an AbortSignal instead.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sleep } from './clock.ts';
import { heardEarly } from './early-signals.ts';
import type { ProcessLog } from './log.ts';

export interface RunOptions {
  readonly log: ProcessLog;
  /** The exit code for an error that `main` ended with. Default: 1. */
  readonly exitCodeOf?: (error: unknown) => number;
  /** Reports the error that `main` ended with to the person in front of the process. Default: the log. */
  readonly report?: (error: unknown) => void;
  /** How long `main` may take to end after the first signal, in milliseconds; then the process exits with 1. Default: no limit. */
  readonly stopDeadlineMs?: number;
}

/** The reason of the signal that `main` got, when the process was asked to stop. Ending with it is a clean end. */
export class StopRequested extends Error {
  override readonly name = 'StopRequested';

  constructor(signal: NodeJS.Signals) {
    super(`stop requested by ${signal}`);
  }
}

/** SIGHUP: the terminal was closed. */
const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/**
 * Calls `main` and ends the process when it does: 0 if it resolved, or rejected because it was asked to stop; else the
 * error is logged and its code used. SIGTERM, SIGINT and SIGHUP abort `main`'s signal; a second one exits at once with 128 + its
 * number. SIGTERM counts from the first import of main.ts on. An unhandled rejection or exception is logged and exits with 1: state after it cannot be trusted.
 */
export async function run(main: (signal: AbortSignal) => Promise<void>, options: RunOptions): Promise<never> {
  const { log, exitCodeOf = () => 1, stopDeadlineMs } = options;
  const report = options.report ?? ((error: unknown) => log.error({ error }, 'ended by an error'));
  const stop = new AbortController();

  const exit = (code: number): never => {
    log.flush();
    process.exit(code);
  };
  const onSignal = (name: keyof typeof signalNumbers): void => {
    if (stop.signal.aborted) {
      log.warn({ signal: name }, 'second stop signal, exiting at once');
      exit(128 + signalNumbers[name]);
    }
    log.info({ signal: name }, 'stopping');
    stop.abort(new StopRequested(name));
    if (stopDeadlineMs !== undefined) void exitAfter(stopDeadlineMs);
  };
  const exitAfter = async (ms: number): Promise<void> => {
    await sleep(ms);
    log.error({ deadlineMs: ms }, 'did not stop in time');
    exit(1);
  };
  const onBug = (kind: string) => (error: unknown) => {
    log.error({ error }, kind);
    exit(1);
  };
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => onSignal(name));
  if (heardEarly()) onSignal('SIGTERM');
  process.on('unhandledRejection', onBug('unhandled rejection'));
  process.on('uncaughtException', onBug('uncaught exception'));

  // A signal that came while the program was loading is heard with the next turn of the loop: before anything has begun.
  await nextTurn();
  try {
    await main(stop.signal);
  } catch (error) {
    if (!stop.signal.aborted || !causedBy(error, stop.signal.reason)) {
      report(error);
      return exit(exitCodeOf(error));
    }
  }
  return exit(0);
}

/** Whether `reason` is the error or among its causes: layers wrap the abort reason on its way up. */
function causedBy(error: unknown, reason: unknown): boolean {
  for (let at: unknown = error, depth = 0; depth < 10 && at !== undefined; depth++) {
    if (at === reason) return true;
    at = at instanceof Error ? at.cause : undefined;
  }
  return false;
}
