// Streams share one channel and smux version 1 has no window, so the only way to slow down for a client that does not read is to read nothing
// at all. This bounds the cost for the others: one pause for all slow clients at a time, 10 s long, then the slow ones are reset. A client
// that was slow during a whole pause but is full only after it gets no second pause.
// Neighbours: port-stream.ts reports when it is full, smux-multiplexer.ts holds the streams.
import { TunnelError } from '../../../../../contract/errors.ts';
import type { Clock } from '../../../../../process/clock.ts';
import type { ByteChannel } from '../../base/byte-channel.ts';
import type { PortStream } from '../../base/port-stream.ts';
import { afterSilence } from '../../base/silence-timer.ts';
import type { StreamMultiplexerOptions } from '../../base/stream-multiplexer.ts';

const patienceMs = 10_000;
/** What the socket had read before a pause still arrives at its beginning: a stream that gets it then counts as slow from the beginning. */
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
  /** When the last pause of full length began. */
  #sufferedFrom = Number.NEGATIVE_INFINITY;

  /** `onChange`: `on` has changed. */
  constructor({ channel, clock, onChange }: Pick<StreamMultiplexerOptions, 'channel' | 'clock' | 'onChange'>) {
    this.#channel = channel;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** True while reading is paused. */
  get on(): boolean {
    return this.#on;
  }

  /** The channel's open streams: one alone holds up nobody and is waited for without limit. */
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

  /** Ends the pause without resuming the channel, which has ended. */
  release(): void {
    this.#on = false;
    this.#expired = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#full.clear();
  }

  /** True if it read nothing during a whole pause that others caused. */
  #wasSlow({ unreadSince }: PortStream): boolean {
    return unreadSince !== undefined && unreadSince <= this.#sufferedFrom + momentsMs;
  }

  #start(): void {
    this.#expired = false;
    this.#cancel?.();
    this.#cancel = afterSilence(this.#clock, patienceMs, (overslept) => {
      // The clients could not read, because this process slept.
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
