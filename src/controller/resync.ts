// Every ten hours each PortForward is looked at although nothing changed: whatever a watch may once have missed is then found. Spread over
// ten minutes and of low priority, so that nobody notices.
// Neighbours: main.ts (runs it while leading).
import { sleep } from '../process/clock.ts';
import type { ObjectKey } from './kube/base/object.ts';
import type { WorkQueue } from './kube/workqueue/work-queue.ts';

/** controller-runtime's default, and its jitter of a tenth. */
const intervalMs = 10 * 60 * 60_000;
const spreadMs = 10 * 60_000;

/** Adds every key again and again until the signal aborts; then resolves. */
export async function resync(
  store: { keys(): Iterable<ObjectKey> },
  queue: Pick<WorkQueue, 'add'>,
  signal: AbortSignal,
  interval = intervalMs,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(interval * (0.9 + 0.2 * Math.random()), { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const spread = Math.min(spreadMs, interval / 10);
    for (const key of store.keys()) queue.add(key, { priority: 'low', afterMs: spread * Math.random() });
  }
}
