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
