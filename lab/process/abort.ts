// Several works that end together: the first that fails takes the others along, and all have cleaned up before anyone hears of it.
// Neighbours: host-cluster.ts builds programs and images side by side; command.ts is what ends by the signal.

/** An abort of one's own, which also follows `signal` until `release` is called. */
export function following(signal: AbortSignal | undefined): {
  readonly signal: AbortSignal;
  readonly abort: (reason: unknown) => void;
  readonly release: () => void;
} {
  const own = new AbortController();
  const follow = (): void => own.abort(signal?.reason);
  if (signal?.aborted === true) follow();
  signal?.addEventListener('abort', follow, { once: true });
  return {
    signal: own.signal,
    abort: (reason) => own.abort(reason),
    release: () => signal?.removeEventListener('abort', follow),
  };
}

/** What `work` resolves with, or its failure; once the signal aborts, that at once, while `work` is left to itself. */
export async function unlessAborted<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  const aborted = Promise.withResolvers<never>();
  const own = following(signal);
  const onAbort = (): void => aborted.reject(signal.reason);
  if (own.signal.aborted) onAbort();
  own.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    own.release();
    // Nobody waits for the one that fails later.
    work.catch(() => {});
    aborted.promise.catch(() => {});
  }
}

/** Runs them at once, each with a signal. @throws what the first one threw, when all have ended. */
export async function together(
  signal: AbortSignal | undefined,
  works: readonly ((signal: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const own = following(signal);
  let first: { readonly error: unknown } | undefined;
  await Promise.all(
    works.map(async (work) => {
      try {
        await work(own.signal);
      } catch (error) {
        first ??= { error };
        own.abort(error);
      }
    }),
  );
  own.release();
  if (first !== undefined) throw first.error;
}
