// Time as an argument: code that decides by time takes a Clock, so that its tests need not wait.
// Neighbours: deadline.ts (a limit on a wait), backoff.ts (how long to pause).
import { performance } from 'node:perf_hooks';
import { onAbort } from './abort.ts';

export interface Clock {
  /** Milliseconds on a clock that never jumps; only differences mean anything. */
  now(): number;
  /** The date, for what people and other machines read. */
  date(): Date;
  /** Calls `callback` once after `ms` milliseconds; the function it gives back cancels that. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export interface SleepOptions {
  /** Ends the pause early, by rejection with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it aborts. The timer never outlives the call. */
export async function sleep(ms: number, { signal, clock = systemClock }: SleepOptions = {}): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  using _ = signal === undefined ? undefined : onAbort(signal, reject);
  try {
    await promise;
  } finally {
    cancel();
  }
}
