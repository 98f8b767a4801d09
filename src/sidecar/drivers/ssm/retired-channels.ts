// The data channels to a destination that another has replaced: each lives on for the streams that it carries. An idle one is ended, unless
// it is kept to disprove a learned limit; when more than four carry streams, the oldest is drained.
// Neighbours: renewing-channel.ts retires them, data-channel.ts is one of them.
import { onAbort } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import type { DataChannel } from './data-channel.ts';

/** How many are kept for their streams (docs/promises.md, promise 5). */
const maxCarrying = 4;

export interface RetiredChannelsOptions {
  /** A channel that carries nothing is kept until this age, in milliseconds; usually 0. */
  readonly keepUntilAgeMs: () => number;
  /** How long the streams of the oldest of too many may go on, in milliseconds. */
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
}

export class RetiredChannels {
  readonly #options: RetiredChannelsOptions;
  readonly #channels = new Set<DataChannel>();
  /** Kept although they carry nothing. */
  readonly #kept = new Set<DataChannel>();
  /** Will end although they carry streams. */
  readonly #draining = new Set<DataChannel>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: RetiredChannelsOptions) {
    this.#options = options;
  }

  /** How many streams they carry. */
  get streams(): number {
    let streams = 0;
    for (const channel of this.#channels) streams += channel.multiplexer.streams;
    return streams;
  }

  /** True if one more would cause the oldest to be drained. */
  get isFull(): boolean {
    return this.#carrying().length >= maxCarrying;
  }

  /** Call it once another channel is in use. The streams of this one live on. */
  add(channel: DataChannel): void {
    this.#channels.add(channel);
    onAbort(channel.signal, () => this.#channels.delete(channel));
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

  /** Ends a channel, whether it was added or not; `ended` waits for it. */
  end(channel: DataChannel): void {
    this.#channels.delete(channel);
    const closing = channel.close();
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  endAll(): void {
    for (const channel of this.#channels) this.end(channel);
  }

  /** Resolves when every channel that was ended here is gone; never rejects. */
  async ended(): Promise<void> {
    await Promise.all(this.#closing);
  }

  /** Those that carry streams and are not being drained, the oldest first. */
  #carrying(): DataChannel[] {
    return [...this.#channels].filter((channel) => channel.multiplexer.streams > 0 && !this.#draining.has(channel));
  }

  #drain(channel: DataChannel): void {
    this.#listFor(this.#options.drainTimeoutMs, this.#draining, channel, () => this.end(channel));
  }

  /** A limit that was learned from an accident is disproved only by a channel that outlives it; otherwise it would stay forever. */
  #keep(channel: DataChannel): void {
    const left = this.#options.keepUntilAgeMs() - channel.ageMs;
    if (left > 0) this.#listFor(left, this.#kept, channel, () => this.endIdle());
  }

  #listFor(ms: number, list: Set<DataChannel>, channel: DataChannel, over: () => void): void {
    list.add(channel);
    const cancel = this.#options.clock.after(ms, () => {
      list.delete(channel);
      over();
    });
    onAbort(channel.signal, () => {
      cancel();
      list.delete(channel);
    });
  }
}
