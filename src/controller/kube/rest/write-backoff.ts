// Keeps an object whose writes time out from being written again and again. The API server goes on working at a request after we gave it
// up, so an object that costs it more than our deadline would otherwise occupy it without an end.
// Neighbours: kube.ts (asks before each write), ../base/api-error.ts (WriteHeldBack).
import { backoffDelay } from '../../../process/backoff.ts';
import { type Clock, systemClock } from '../../../process/clock.ts';
import { WriteHeldBack } from '../base/api-error.ts';

/** From one write deadline to five minutes: what is slow once must cost the API server less and less. */
const pause = { initialMs: 5_000, maxMs: 300_000, jitter: 0.2 };

interface TimedOut {
  readonly times: number;
  readonly until: number;
}

export class WriteBackoff {
  readonly #clock: Clock;
  /** By path of the object; at most one entry for each object that we own. */
  readonly #timedOut = new Map<string, TimedOut>();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** @throws WriteHeldBack while the pause after a write of `path` that timed out lasts */
  check(path: string): void {
    const waitMs = (this.#timedOut.get(path)?.until ?? 0) - this.#clock.now();
    if (waitMs > 0) throw new WriteHeldBack(path, waitMs);
  }

  /** Records a write that got no answer within its deadline: the next pause is twice as long. */
  timedOut(path: string): void {
    const times = this.#timedOut.get(path)?.times ?? 0;
    this.#timedOut.set(path, { times: times + 1, until: this.#clock.now() + backoffDelay(times, pause) });
    this.#dropOld();
  }

  /** Records an answer of whatever kind. */
  answered(path: string): void {
    this.#timedOut.delete(path);
  }

  /** Objects that were deleted meanwhile are never answered: their entries end with time. */
  #dropOld(): void {
    const oldest = this.#clock.now() - 2 * pause.maxMs;
    for (const [path, { until }] of this.#timedOut) if (until < oldest) this.#timedOut.delete(path);
  }
}
