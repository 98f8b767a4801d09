// Starts sessions one after the other with a pause between: AWS limits the rate per account, and all pods of a tunnel begin together.
// Neighbour: driver.ts has one for all its sessions.
import { sleep } from '../../../process/backoff.ts';
import { abortable } from './abortable.ts';

const PAUSE_MS = 100;

export class StartGate {
  #last: Promise<unknown> = Promise.resolve();
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Runs `start` once all before it have come to an end, or leaves the line when the signal aborts. @throws what `start` throws, or the signal's reason. */
  async pass<T>(start: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last;
    const turn = (async () => {
      await abortable(before, signal);
      return await start();
    })();
    // The pause is for who comes next; who is aborted leaves it at once.
    const pause = (): Promise<void> => sleep(PAUSE_MS * (0.5 + this.#random()), signal).catch(() => undefined);
    this.#last = Promise.allSettled([before, turn]).then(pause);
    return turn;
  }
}
