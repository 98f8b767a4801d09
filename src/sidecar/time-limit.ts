// An AbortSignal that ends with the first of several parents or after a time on the given clock, and leaves nothing behind on the
// parents once disposed of. Like process/deadline.ts, for what is tested with a clock of its own.
import type { Clock } from '../process/clock.ts';

export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
  /** True if the time was over before any parent aborted. */
  readonly expired: boolean;
}

export function timeLimit(
  clock: Clock,
  ms: number,
  reason: () => unknown,
  ...parents: readonly AbortSignal[]
): TimeLimit {
  const controller = new AbortController();
  let expired = false;
  const onParent = function (this: AbortSignal): void {
    controller.abort(this.reason);
  };
  for (const parent of parents) {
    if (parent.aborted) controller.abort(parent.reason);
    else parent.addEventListener('abort', onParent, { once: true });
  }
  const cancel = clock.after(ms, () => {
    if (controller.signal.aborted) return;
    expired = true;
    controller.abort(reason());
  });
  return {
    signal: controller.signal,
    get expired() {
      return expired;
    },
    [Symbol.dispose]: () => {
      cancel();
      for (const parent of parents) parent.removeEventListener('abort', onParent);
    },
  };
}
