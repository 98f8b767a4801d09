// The agent connects to the destination for one new stream after the other, without a time limit: one that hangs holds up all that follow
// (about 127 s by Linux's default). The protocol says nothing of it; what shows it is a stream that we have ended and that is not ended back.
// Where every client waits and none ends its stream, the agent is asked: by a stream that is opened and ended at once.
// Neighbour: session.ts tells what it sends and hears.
import type { Clock } from '../../../../../process/clock.ts';
import { afterSilence } from '../../base/silence-timer.ts';
import type { ByteChannel } from '../../base/stream-multiplexer.ts';

/** An opening this old, and ended since, without any sign of the agent: it hangs. One not ended, this old: the agent is asked. */
const stuckMs = 5_000;
/** The least time that the agent gets for the end. */
const endMs = 1_000;
/** The least time between two questions: each is a connection to the destination, which may be one that says little. */
const askPauseMs = 15_000;

interface Opening {
  readonly openedAt: number;
  finishedAt?: number;
}

export interface ConnectWatchOptions {
  readonly channel: ByteChannel;
  readonly clock: Clock;
  /** `stuck` has changed. */
  readonly onChange: () => void;
  /** A stream is to be opened and ended at once. */
  readonly ask: () => void;
}

export class ConnectWatch {
  readonly #options: ConnectWatchOptions;
  /** Sent and not answered, in the order in which they were sent, which is the order in which the agent takes them. */
  readonly #openings = new Map<number, Opening>();
  #connectHangs = false;
  #askFrom = Number.NEGATIVE_INFINITY;
  /** When we last slept so long that nobody could be heard. */
  #sleptUntil = Number.NEGATIVE_INFINITY;
  #timerAt = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(options: ConnectWatchOptions) {
    this.#options = options;
  }

  get connectHangs(): boolean {
    return this.#connectHangs;
  }

  opened(id: number): void {
    const opening = { openedAt: this.#options.clock.now() };
    this.#openings.set(id, opening);
    this.#planFor(opening);
  }

  /** We have ended the stream. */
  finished(id: number): void {
    const opening = this.#openings.get(id);
    if (opening === undefined || opening.finishedAt !== undefined) return;
    opening.finishedAt = this.#options.clock.now();
    this.#planFor(opening);
  }

  /** The agent has said something on the stream: it is past connecting it and all before it. True if that is news. */
  answered(id: number): boolean {
    if (!this.#openings.has(id)) return false;
    for (const earlier of this.#openings.keys()) {
      this.#openings.delete(earlier);
      if (earlier === id) break;
    }
    if (this.#connectHangs) this.#judge();
    else if (this.#openings.size === 0) this.#plan(Number.POSITIVE_INFINITY);
    return true;
  }

  stop(): void {
    this.#openings.clear();
    this.#plan(Number.POSITIVE_INFINITY);
  }

  /** When there is to be a sign of the agent, or it hangs; for an opening not ended, when it is asked. */
  #dueAt({ openedAt, finishedAt }: Opening): number {
    // While nobody could be heard, nobody was silent.
    const inputPaused = Math.max(this.#options.channel.inputPausedUntil, this.#sleptUntil);
    const at = Math.max(openedAt, inputPaused) + stuckMs;
    return finishedAt === undefined
      ? Math.max(at, this.#askFrom)
      : Math.max(at, Math.max(finishedAt, inputPaused) + endMs);
  }

  #planFor(opening: Opening): void {
    const at = this.#dueAt(opening);
    if (!this.#connectHangs && at < this.#timerAt) this.#plan(at);
  }

  #plan(at: number): void {
    const { channel, clock } = this.#options;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#timerAt = at;
    if (!Number.isFinite(at)) return;
    const wait = channel.inputPaused ? stuckMs : Math.max(0, at - clock.now());
    this.#cancel = afterSilence(clock, wait, (overslept) => {
      if (overslept) this.#sleptUntil = clock.now();
      this.#judge();
    });
  }

  #judge(): void {
    const { channel, clock, onChange, ask } = this.#options;
    const now = clock.now();
    let hangAt = Number.POSITIVE_INFINITY;
    let askAt = Number.POSITIVE_INFINITY;
    for (const opening of this.#openings.values()) {
      const at = this.#dueAt(opening);
      if (opening.finishedAt === undefined) askAt = Math.min(askAt, at);
      else hangAt = Math.min(hangAt, at);
    }
    const connectHangs = !channel.inputPaused && hangAt <= now;
    // A stream that we have ended is a question already.
    const isAsked = hangAt !== Number.POSITIVE_INFINITY;
    const asks = !isAsked && !channel.inputPaused && askAt <= now;
    if (asks) this.#askFrom = askAt = now + askPauseMs;
    this.#plan(connectHangs ? Number.POSITIVE_INFINITY : isAsked ? hangAt : askAt);
    if (connectHangs !== this.#connectHangs) {
      this.#connectHangs = connectHangs;
      onChange();
    }
    if (asks) ask();
  }
}
