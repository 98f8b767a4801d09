// A wait that must end: one AbortSignal from the caller's own and a time limit. Unlike `AbortSignal.timeout`, nothing of it stays behind
// once it is disposed of, and it can run on a clock of the tests.
// Neighbours: abort.ts (signals without a time), clock.ts (time itself).
import { anyOf, onAbort } from './abort.ts';
import { type Clock, systemClock } from './clock.ts';

/** The default reason of a deadline. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
}

export type DeadlineOptions = {
  /** What ends it early, with its own reason. Default: nothing. */
  readonly signal?: AbortSignal | readonly AbortSignal[] | undefined;
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
} & (
  | { /** A noun for the message of `DeadlineExceeded`. */ readonly what: string }
  | { /** Makes the reason once the time is over. */ readonly reason: () => unknown }
);

export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** True if the time was over before any other signal aborted. */
  readonly expired: boolean;
}

/** Starts a deadline of `ms` milliseconds. The owner disposes of it: `using limit = deadline(…)`. */
export function deadline(ms: number, options: DeadlineOptions): Deadline {
  const { signal = [], clock = systemClock } = options;
  const joined = anyOf(...[signal].flat());
  let expired = false;
  const cancel = clock.after(ms, () => {
    if (joined.signal.aborted) return;
    expired = true;
    joined.abort(
      'what' in options ? new DeadlineExceeded(`${options.what} took longer than ${ms} ms`) : options.reason(),
    );
  });
  return {
    signal: joined.signal,
    get expired() {
      return expired;
    },
    [Symbol.dispose]: () => {
      cancel();
      joined[Symbol.dispose]();
    },
  };
}

/**
 * Runs `work` with a signal that aborts only `graceMs` milliseconds after the caller's: the far side may have done what was asked, and
 * only its answer shows that. @throws the caller's reason if it aborted before the start
 */
export async function outlasting<T>(
  graceMs: number,
  { signal, clock = systemClock }: { readonly signal: AbortSignal; readonly clock?: Clock },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const late = new AbortController();
  let cancel: () => void = () => undefined;
  using _ = onAbort(signal, (reason) => {
    cancel = clock.after(graceMs, () => late.abort(reason));
  });
  try {
    return await work(late.signal);
  } finally {
    cancel();
  }
}
