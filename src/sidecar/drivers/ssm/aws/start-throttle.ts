// Starts sessions one after the other with a pause between: AWS limits the rate per account, and all pods of a tunnel begin together.
// Where it throttles all the same the pause grows until it does no more. Neighbour: driver.ts has one for all its sessions.
import { TunnelError } from '../../../../contract/errors.ts';
import { abortable } from '../../../../process/abort.ts';
import { sleep } from '../../../../process/clock.ts';

const initialPauseMs = 100;
const maxPauseMs = 3_200;
/** Of one start that is throttled: 1.4 s of pauses where none was throttled before. Then whoever wants it is told, and waits longer. */
const attempts = 4;
/** What becomes of the pause with each start that was not throttled. */
const easing = 0.9;

export class StartThrottle {
  #last: Promise<unknown> = Promise.resolve();
  #pauseMs = initialPauseMs;
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Runs `start` once all before it have come to an end, or leaves the line when the signal aborts. @throws what `start` throws, or the signal's reason. */
  async pass<T>(start: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last;
    const turn = (async () => {
      await abortable(before, { signal });
      return await this.#patiently(start, signal);
    })();
    // The pause is for who comes next; who is aborted leaves it at once.
    const pause = (): Promise<void> => this.#pause(signal).catch(() => undefined);
    this.#last = Promise.allSettled([before, turn]).then(pause);
    return turn;
  }

  async #patiently<T>(start: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const started = await start();
        this.#pauseMs = Math.max(initialPauseMs, this.#pauseMs * easing);
        return started;
      } catch (error) {
        if (!(error instanceof TunnelError && error.code === 'Throttled')) throw error;
        this.#pauseMs = Math.min(maxPauseMs, this.#pauseMs * 2);
        if (attempt === attempts) throw error;
        await this.#pause(signal);
      }
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    await sleep(this.#pauseMs * (0.5 + this.#random()), { signal });
  }
}
