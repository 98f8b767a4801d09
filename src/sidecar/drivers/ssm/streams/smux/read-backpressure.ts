// Streams share one channel and smux version 1 has no window, so a client that does not read can only be held back by reading nothing at
// all. This bounds what that costs the others: one pause for all slow ones at a time, 10 s long, then the slow ones are reset. Who was slow
// through a pause but got full only after it has had its time.
// Neighbours: stream.ts says when it is full, session.ts holds the streams.
import { TunnelError } from '../../../../../contract/errors.ts';
import type { Clock } from '../../../../../process/clock.ts';
import type { PortStream } from '../../base/port-stream.ts';
import { afterSilence } from '../../base/silence-timer.ts';
import type { ByteChannel, StreamMultiplexerOptions } from '../../base/stream-multiplexer.ts';

const patienceMs = 10_000;
/** What the socket had read before a pause still comes in its first moments: who gets it then was as slow as those before. */
const momentsMs = 1_000;

export class ReadBackpressure {
  readonly #channel: ByteChannel;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #full = new Set<PortStream>();
  #streamCount = 0;
  #on = false;
  #expired = false;
  #cancel: (() => void) | undefined;
  #pausedFrom = 0;
  /** When the last pause began that was as long as one may be. */
  #sufferedFrom = Number.NEGATIVE_INFINITY;

  /** `onChange`: it was put on, or taken off. */
  constructor({ channel, clock, onChange }: Pick<StreamMultiplexerOptions, 'channel' | 'clock' | 'onChange'>) {
    this.#channel = channel;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** True while reading is paused. */
  get on(): boolean {
    return this.#on;
  }

  /** The session's open streams: one alone harms nobody and is waited for without limit. */
  set streamCount(count: number) {
    const joined = count > this.#streamCount;
    this.#streamCount = count;
    if (joined && this.#expired) this.#start();
  }

  /** A stream became full, or has room again. */
  changed(stream: PortStream): void {
    if (!stream.full) this.#full.delete(stream);
    else if (this.#streamCount > 1 && this.#wasSlow(stream)) reset(stream);
    else this.#full.add(stream);
    if (this.#full.size > 0 && !this.#on) {
      this.#on = true;
      this.#pausedFrom = this.#clock.now();
      this.#channel.pauseReading();
      this.#start();
      this.#onChange();
    } else if (this.#full.size === 0 && this.#on) {
      this.release();
      this.#channel.resumeReading();
      this.#onChange();
    }
  }

  /** Ends the pause without a word to the channel, which is gone. */
  release(): void {
    this.#on = false;
    this.#expired = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#full.clear();
  }

  /** It read nothing through a pause that others caused. */
  #wasSlow({ unreadSince }: PortStream): boolean {
    return unreadSince !== undefined && unreadSince <= this.#sufferedFrom + momentsMs;
  }

  #start(): void {
    this.#expired = false;
    this.#cancel?.();
    this.#cancel = afterSilence(this.#clock, patienceMs, (overslept) => {
      // They could not read: nobody here passed anything on.
      if (overslept) return this.#start();
      this.#expired = true;
      if (this.#streamCount <= 1) return;
      this.#sufferedFrom = this.#pausedFrom;
      for (const stream of this.#full) reset(stream);
    });
  }
}

function reset(stream: PortStream): void {
  stream.destroy(
    new TunnelError('ConnectionLimit', 'the client read nothing for 10 s and held up the others of its session'),
  );
}
