// Starts AWS sessions one after the other with a pause between: AWS limits the rate per account, and all pods of a tunnel start together.
// If it throttles anyway, the pause grows until it stops. Neighbour: channel-opener.ts has one for all its starts.
import { TunnelError } from '../../../../contract/errors.ts';
import { abortable } from '../../../../process/abort.ts';
import { type Clock, sleep } from '../../../../process/clock.ts';

const initialPauseMs = 100;
const maxPauseMs = 3_200;
/** For one start that is throttled: 1.4 s of pauses if none was throttled before. Then its caller gets the error, and waits longer. */
const attempts = 4;
/** The pause is multiplied by this after each start that was not throttled. */
const easing = 0.9;

export class StartThrottle {
  #last: Promise<unknown> = Promise.resolve();
  #pauseMs = initialPauseMs;
  readonly #clock: Clock;
  readonly #random: () => number;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Runs `start` once all before it have ended, or leaves the queue when the signal aborts. @throws what `start` throws, or the signal's reason. */
  async pass<T>(start: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last;
    const turn = (async () => {
      await abortable(before, { signal });
      return await this.#retryThrottled(start, signal);
    })();
    // The pause is for the next in the queue; an aborted caller leaves it at once.
    const pause = (): Promise<void> => this.#pause(signal).catch(() => undefined);
    this.#last = Promise.allSettled([before, turn]).then(pause);
    return turn;
  }

  async #retryThrottled<T>(start: () => Promise<T>, signal: AbortSignal): Promise<T> {
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
    await sleep(this.#pauseMs * (0.5 + this.#random()), { signal, clock: this.#clock });
  }
}
