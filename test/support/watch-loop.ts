// Whether this process overslept. The tunnel counts a silence anew when it was asleep itself (ssm/base/silence-timer.ts, ssh/channels/liveness.ts), so an
// upper bound on such a time holds only of a process that was awake. Neighbour: fake-clock.ts, where no real time is needed.
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The tunnel's own limit is 1 s. */
const oversleptMs = 900;

export interface LoopWatch extends Disposable {
  /** True once the event loop has stood still for so long that a count of silence may have begun anew. */
  readonly overslept: boolean;
}

/** Watches this process's event loop until it is disposed of. */
export function watchLoop(): LoopWatch {
  const delays = monitorEventLoopDelay({ resolution: 20 });
  delays.enable();
  return {
    get overslept() {
      return delays.max / 1e6 > oversleptMs;
    },
    [Symbol.dispose]: () => void delays.disable(),
  };
}
