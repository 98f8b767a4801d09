// The timer for judging a silence: one more turn of reading comes before anyone is called dead, and the count starts again when it was
// this process that slept (docs/promises.md, promise 4). Neighbours: web-socket.ts, smux/connect-watch.ts, smux/read-backpressure.ts, port-stream.ts.
import type { Clock } from '../../../../process/clock.ts';

/** A timer that fires this much late says that we were asleep, not the far side. */
export const lagMs = 1_000;

/** Calls back after `ms`, once everything that had arrived by then is read. `overslept`: so late that the silence proves nothing. */
export function afterSilence(clock: Clock, ms: number, judge: (overslept: boolean) => void): () => void {
  const latest = clock.now() + ms + lagMs;
  let turn: NodeJS.Immediate | undefined;
  const cancel = clock.after(ms, () => {
    const overslept = clock.now() > latest;
    turn = setImmediate(() => judge(overslept));
  });
  return () => {
    cancel();
    clearImmediate(turn);
  };
}
