// Everything that listens to an AbortSignal: the one place that adds a listener, so that none is forgotten on a signal that lives as long
// as the process, and a signal that has already aborted is never missed.
// Neighbours: deadline.ts (a signal that also ends by time), clock.ts (a pause that a signal ends).

/**
 * Calls `listener` once when the signal aborts, at once if it already has. Dispose of it when the abort no longer matters:
 * `using listening = onAbort(signal, …)`.
 */
export function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): Disposable {
  const call = (): void => listener(signal.reason);
  if (signal.aborted) call();
  else signal.addEventListener('abort', call, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', call) };
}

/** Resolves when the signal aborts. For waits that have no other end: where one is possible, use `abortable`. */
export async function aborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => onAbort(signal, () => resolve()));
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it aborts. The work goes on then, and its failure is ignored. */
export async function abortable<T>(work: Promise<T>, { signal }: { readonly signal: AbortSignal }): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  // The race below may be over before it is rejected.
  promise.catch(() => undefined);
  using _ = onAbort(signal, reject);
  return await Promise.race([promise, work]);
}

export interface JoinedSignal extends Disposable {
  /** Aborts with the reason of the first of its signals. */
  readonly signal: AbortSignal;
  /** Aborts it alone. */
  abort(reason: unknown): void;
}

/** One signal from several. Unlike `AbortSignal.any`, nothing stays behind on them once it is disposed of. */
export function anyOf(...signals: readonly AbortSignal[]): JoinedSignal {
  const controller = new AbortController();
  const listening = signals.map((signal) => onAbort(signal, (reason) => controller.abort(reason)));
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]: () => {
      for (const one of listening) one[Symbol.dispose]();
    },
  };
}
