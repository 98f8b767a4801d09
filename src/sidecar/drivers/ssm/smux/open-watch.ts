// The agent connects to the destination for one new stream after the other, without a time limit: one that hangs holds up all that follow
// (about 127 s by Linux's default). The protocol says nothing of it; what shows it is a stream that we have ended and that is not ended back.
// Neighbour: session.ts tells what it sends and hears.
import type { Clock } from '../../../../process/clock.ts';
import type { ByteChannel } from '../port-session.ts';

/** An opening this old, and ended since, without any sign of the agent: it hangs. */
const STUCK_MS = 5_000;
/** The least time that the agent gets for the end. */
const END_MS = 1_000;

interface Opening {
  readonly openedAt: number;
  finishedAt?: number;
}

export class OpenWatch {
  readonly #channel: ByteChannel;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  /** Sent and not answered, in the order of their ids, which is the order in which the agent takes them. */
  readonly #openings = new Map<number, Opening>();
  #stuck = false;
  #cancel: (() => void) | undefined;

  constructor(options: { readonly channel: ByteChannel; readonly clock: Clock; readonly onChange: () => void }) {
    this.#channel = options.channel;
    this.#clock = options.clock;
    this.#onChange = options.onChange;
  }

  get stuck(): boolean {
    return this.#stuck;
  }

  opened(id: number): void {
    this.#openings.set(id, { openedAt: this.#clock.now() });
  }

  /** We have ended the stream. */
  finished(id: number): void {
    const opening = this.#openings.get(id);
    if (opening === undefined || opening.finishedAt !== undefined) return;
    opening.finishedAt = this.#clock.now();
    this.#plan();
  }

  /** The agent has said something on the stream: it is past connecting it and all before it. */
  answered(id: number): void {
    for (const earlier of this.#openings.keys()) {
      if (earlier > id) break;
      this.#openings.delete(earlier);
    }
    if (this.#stuck) this.#judge();
  }

  stop(): void {
    this.#openings.clear();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #dueAt(): number | undefined {
    let due: number | undefined;
    for (const { openedAt, finishedAt } of this.#openings.values()) {
      if (finishedAt === undefined) continue;
      // While nobody could be heard, nobody was silent.
      const deaf = this.#channel.deafUntil;
      const at = Math.max(Math.max(openedAt, deaf) + STUCK_MS, Math.max(finishedAt, deaf) + END_MS);
      due = Math.min(due ?? at, at);
    }
    return due;
  }

  #plan(): void {
    if (this.#cancel !== undefined || this.#stuck) return;
    const due = this.#dueAt();
    if (due === undefined) return;
    const wait = this.#channel.deaf ? STUCK_MS : Math.max(0, due - this.#clock.now());
    this.#cancel = this.#clock.after(wait, () => {
      this.#cancel = undefined;
      this.#judge();
    });
  }

  #judge(): void {
    const due = this.#dueAt();
    const stuck = due !== undefined && !this.#channel.deaf && due <= this.#clock.now();
    if (stuck !== this.#stuck) {
      this.#stuck = stuck;
      this.#onChange();
    }
    this.#plan();
  }
}
