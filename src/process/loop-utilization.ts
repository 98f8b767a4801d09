// Which share of its time the event loop is busy, where something else than the loop waits on its thread: Node takes such a wait for work.
// Neighbours: metrics.ts makes the series, sidecar/base/native-engine.ts waits.
import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/** What Node measured, with so many milliseconds of what it took for work counted as idle. */
export function withWaited({ idle, active }: EventLoopUtilization, waitedMs: number): EventLoopUtilization {
  const waited = Math.min(waitedMs, active);
  const total = idle + active;
  return { idle: idle + waited, active: active - waited, utilization: total === 0 ? 0 : (active - waited) / total };
}

/**
 * Runs `setUp`, in which a library keeps the function `performance.eventLoopUtilization` to sample it: one that counts `waitedMs` as idle. Without `waitedMs` it is
 * Node's own.
 */
export function countingWaits(waitedMs: (() => number) | undefined, setUp: () => void): void {
  if (waitedMs === undefined) {
    setUp();
    return;
  }
  const measured = performance.eventLoopUtilization.bind(performance);
  // With one sample Node gives what happened since, with two what happened between them.
  performance.eventLoopUtilization = (later, earlier) => {
    if (later !== undefined && earlier !== undefined) return measured(later, earlier);
    const now = withWaited(measured(), waitedMs());
    return later === undefined ? now : measured(now, later);
  };
  try {
    setUp();
  } finally {
    // Node's is its prototype's.
    Reflect.deleteProperty(performance, 'eventLoopUtilization');
  }
}
