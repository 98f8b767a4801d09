// Waiting for work that somebody else owns or finishes, no longer than a signal allows. Neighbours: driver.ts, lane.ts, start-gate.ts.
import type { Clock } from '../../../process/clock.ts';

/** Settles as `work` does, or rejects with the signal's reason as soon as it aborts; the work itself goes on, and may fail unheard. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Runs `work`, whose own signal aborts only so long after `signal`: what was asked for may be done already, and only the answer tells. */
export async function outlasting<T>(
  signal: AbortSignal,
  graceMs: number,
  clock: Clock,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const late = new AbortController();
  let cancel: () => void = () => undefined;
  const abort = (): void => {
    cancel = clock.after(graceMs, () => late.abort(signal.reason));
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await work(late.signal);
  } finally {
    signal.removeEventListener('abort', abort);
    cancel();
  }
}
