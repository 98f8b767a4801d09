// Reconciles every PortForward each ten hours although nothing changed: this finds whatever a watch may have missed. Spread over ten
// minutes and of low priority, so that nobody notices.
// Neighbours: tunnel-reconciler.ts (runs it while leading).
import { type Clock, sleep, systemClock } from '../process/clock.ts';
import type { ObjectKey } from './kube/base/object.ts';
import type { WorkQueue } from './kube/workqueue/work-queue.ts';

/** controller-runtime's default, and its jitter of a tenth. */
const intervalMs = 10 * 60 * 60_000;
const spreadMs = 10 * 60_000;

/** Adds every key again and again until the signal aborts; then resolves. */
export async function resync(
  store: { keys(): Iterable<ObjectKey> },
  queue: Pick<WorkQueue, 'add'>,
  { signal, clock = systemClock }: { readonly signal: AbortSignal; readonly clock?: Clock },
): Promise<void> {
  while (!signal.aborted) {
    await sleep(intervalMs * (0.9 + 0.2 * Math.random()), { signal, clock }).catch(() => undefined);
    if (signal.aborted) return;
    for (const key of store.keys()) queue.add(key, { priority: 'low', afterMs: spreadMs * Math.random() });
  }
}
