// How often a pod may start AWS sessions (docs/promises.md, promise 4): each start is a call of the account's quota and a process on the node, and a
// destination that is refused again and again must cost neither. Times of one clock; the only I/O is the waiting.
// Neighbours: channel-opener.ts asks before each start; start-throttle.ts then sends one start after the other.
import { type Clock, sleep } from '../../../../process/clock.ts';

/** The least time between two starts for the same destination on the same node. */
export const startSpacingMs = 5_000;
const minuteMs = 60_000;
const startsInFirstMinute = 64;
const startsPerMinute = 24;

export interface StartPaceOptions {
  readonly clock: Clock;
  /** How many sessions the tunnel holds for each destination: each has its own spacing. */
  readonly sessions: number;
}

export class StartPace {
  readonly #clock: Clock;
  readonly #sessions: number;
  readonly #bornAt: number;
  /** When sessions were started in the last minute, the oldest first. */
  #starts: number[] = [];
  /** The same for each way, in the last 5 s. */
  readonly #startsOf = new Map<string, number[]>();

  constructor({ clock, sessions }: StartPaceOptions) {
    this.#clock = clock;
    this.#sessions = sessions;
    this.#bornAt = clock.now();
  }

  /**
   * Resolves when a session may be started now on that way, and counts it. `spaced: false`: the 5 s do not apply, the limits for the whole
   * pod do. @throws the signal's reason; nothing is counted then.
   */
  async turn(way: string, spaced: boolean, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const now = this.#clock.now();
      const at = Math.max(this.#podDueAt(now), spaced ? this.#wayDueAt(way, now) : now);
      if (at <= now) {
        this.#starts.push(now);
        this.#startsOf.set(way, [...(this.#startsOf.get(way) ?? []), now]);
        return;
      }
      // Nobody reserves a time: whoever waits when it comes takes it, so that one that gives up holds nobody up.
      await sleep(at - now, { signal, clock: this.#clock });
    }
  }

  #podDueAt(now: number): number {
    this.#starts = this.#starts.filter((at) => at > now - minuteMs);
    const limit = now - this.#bornAt < minuteMs ? startsInFirstMinute : startsPerMinute;
    const first = this.#starts.at(-limit);
    // Not a sum that rounds: due now is exactly now, or the starts would change their order.
    return first === undefined ? now : first + minuteMs;
  }

  #wayDueAt(way: string, now: number): number {
    const recent = (this.#startsOf.get(way) ?? []).filter((at) => at > now - startSpacingMs);
    if (recent.length === 0) this.#startsOf.delete(way);
    else this.#startsOf.set(way, recent);
    const first = recent.at(-this.#sessions);
    return first === undefined ? now : first + startSpacingMs;
  }
}
