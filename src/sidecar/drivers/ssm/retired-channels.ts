// The sessions to a destination that another has replaced: each lives for the streams that it carries. An idle one is ended, unless its age is
// to tell something first; of more than four that carry streams the oldest is drained.
// Neighbours: renewing-channel.ts replaces them, data-channel.ts is one of them.
import type { Clock } from '../../../process/clock.ts';
import type { DataChannel } from './data-channel.ts';

/** How many are kept for their streams (docs/promises.md, promise 5). */
const maxCarrying = 4;

export interface RetiredChannelsOptions {
  /** One that carries nothing is kept until it is this old, in milliseconds; usually 0. */
  readonly doubtMs: () => number;
  /** What the oldest of too many gets for its streams, in milliseconds. */
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
}

export class RetiredChannels {
  readonly #options: RetiredChannelsOptions;
  readonly #channels = new Set<DataChannel>();
  /** Those of them that are kept although they carry nothing. */
  readonly #kept = new Set<DataChannel>();
  /** Those of them that end although they carry streams. */
  readonly #draining = new Set<DataChannel>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: RetiredChannelsOptions) {
    this.#options = options;
  }

  /** Streams that they carry. */
  get streams(): number {
    let streams = 0;
    for (const channel of this.#channels) streams += channel.multiplexer.streams;
    return streams;
  }

  /** True while one more would have the oldest drained. */
  get isFull(): boolean {
    return this.#carrying().length >= maxCarrying;
  }

  /** Another is in use already: what this one carries lives on. */
  add(channel: DataChannel): void {
    this.#channels.add(channel);
    channel.signal.addEventListener('abort', () => this.#channels.delete(channel));
    this.#keep(channel);
    this.endIdle();
    const carrying = this.#carrying();
    for (const surplus of carrying.slice(0, Math.max(0, carrying.length - maxCarrying))) this.#drain(surplus);
  }

  endIdle(): void {
    for (const channel of this.#channels) {
      if (channel.multiplexer.streams === 0 && !this.#kept.has(channel)) this.end(channel);
    }
  }

  /** Ends a session, of these or not, and remembers that until it is done. */
  end(channel: DataChannel): void {
    this.#channels.delete(channel);
    const closing = channel.close();
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  endAll(): void {
    for (const channel of this.#channels) this.end(channel);
  }

  /** Resolves when every session that was ended here is gone; never rejects. */
  async ended(): Promise<void> {
    await Promise.all(this.#closing);
  }

  /** With streams that nobody means to end, the oldest first. */
  #carrying(): DataChannel[] {
    return [...this.#channels].filter((channel) => channel.multiplexer.streams > 0 && !this.#draining.has(channel));
  }

  #drain(channel: DataChannel): void {
    this.#listFor(this.#options.drainTimeoutMs, this.#draining, channel, () => this.end(channel));
  }

  /** A limit that was learned from another's accident would have sessions renewed for ever, because none would outlive it. */
  #keep(channel: DataChannel): void {
    const left = this.#options.doubtMs() - channel.ageMs;
    if (left > 0) this.#listFor(left, this.#kept, channel, () => this.endIdle());
  }

  #listFor(ms: number, list: Set<DataChannel>, channel: DataChannel, over: () => void): void {
    list.add(channel);
    const cancel = this.#options.clock.after(ms, () => {
      list.delete(channel);
      over();
    });
    channel.signal.addEventListener('abort', () => {
      cancel();
      list.delete(channel);
    });
  }
}
