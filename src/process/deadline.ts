/**
 * A wait that must end: one AbortSignal from a parent's and a time limit. Unlike `AbortSignal.any` with
 * `AbortSignal.timeout`, nothing of it stays behind on a parent that lives as long as the process.
 */

/** Rejects what waited longer than it was allowed to. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
}

export interface Deadline extends Disposable {
  /** Aborts with the parent's reason, or with `DeadlineExceeded` once the time is over. */
  readonly signal: AbortSignal;
}

/** Starts a deadline of `ms` milliseconds for `what` (a noun for the message). The owner disposes of it: `using limit = deadline(…)`. */
export function deadline(parent: AbortSignal, ms: number, what: string): Deadline {
  const controller = new AbortController();
  const onParent = (): void => controller.abort(parent.reason);
  if (parent.aborted) onParent();
  else parent.addEventListener('abort', onParent, { once: true });
  const timer = setTimeout(() => controller.abort(new DeadlineExceeded(`${what} took longer than ${ms} ms`)), ms);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      parent.removeEventListener('abort', onParent);
    },
  };
}
