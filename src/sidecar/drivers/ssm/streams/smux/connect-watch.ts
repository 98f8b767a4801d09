// Finds out whether the agent hangs while it connects to the destination. It connects for one new stream after the other, without a time
// limit, so one connect that hangs holds up all that follow (about 127 s by Linux's default). The protocol does not report it. The sign is a
// stream that we have ended and the agent does not end. If every client waits and none ends its stream, we open and end one as a question.
// Neighbour: smux-multiplexer.ts reports what it sends and hears.
import type { Clock } from '../../../../../process/clock.ts';
import type { ByteChannel } from '../../base/byte-channel.ts';
import { afterSilence } from '../../base/silence-timer.ts';

/** The agent hangs if a stream this old that we have ended shows no sign of it. For a stream this old that we have not ended, ask the agent. */
const hangMs = 5_000;
/** The least time that the agent gets to answer our end. */
const endMs = 1_000;
/** The least time between two questions: each is a connection to the destination, which may rarely send anything. */
const askPauseMs = 15_000;

interface Opening {
  readonly openedAt: number;
  finishedAt?: number;
}

export interface ConnectWatchOptions {
  readonly channel: ByteChannel;
  readonly clock: Clock;
  /** `connectHangs` has changed. */
  readonly onChange: () => void;
  /** Open a stream and end it at once. */
  readonly ask: () => void;
}

export class ConnectWatch {
  readonly #options: ConnectWatchOptions;
  /** Sent and not answered, in the order of sending, which is the order in which the agent connects them. */
  readonly #openings = new Map<number, Opening>();
  #connectHangs = false;
  #askFrom = Number.NEGATIVE_INFINITY;
  /** When this process last slept so long that the silence proves nothing. */
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

  /** The agent has sent something on the stream: it has connected it and all before it. True if that is news. */
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

  /** When the agent hangs unless there is a sign of it; for a stream that we have not ended, when to ask. */
  #dueAt({ openedAt, finishedAt }: Opening): number {
    // While nothing could arrive, nobody was silent.
    const heardFrom = Math.max(this.#options.channel.inputPausedUntil, this.#sleptUntil);
    const at = Math.max(openedAt, heardFrom) + hangMs;
    return finishedAt === undefined
      ? Math.max(at, this.#askFrom)
      : Math.max(at, Math.max(finishedAt, heardFrom) + endMs);
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
    const wait = channel.inputPaused ? hangMs : Math.max(0, at - clock.now());
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
    // A stream that we have ended is already a question.
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
