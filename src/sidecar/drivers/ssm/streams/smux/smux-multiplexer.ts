// Streams over one ordered byte channel by smux version 1, as the agent's port plugin expects it. No I/O: the channel pulls and hands in.
// Neighbours: frame.ts (the bytes), port-stream.ts (one stream), read-backpressure.ts (slow readers), connect-watch.ts (an agent that hangs).
import type { Clock } from '../../../../../process/clock.ts';
import { type Carrier, PortStream } from '../../base/port-stream.ts';
import { afterSilence } from '../../base/silence-timer.ts';
import {
  connectRefused,
  type StreamMultiplexer,
  type StreamMultiplexerOptions,
} from '../../base/stream-multiplexer.ts';
import { ConnectWatch } from './connect-watch.ts';
import { command, FrameParser, frameHeader, maxFrameData, writeFrameHeader } from './frame.ts';
import { ReadBackpressure } from './read-backpressure.ts';

/** Streams at once; the agent queues at most 1,024 that it has not accepted yet. */
const maxStreams = 500;
const maxStreamId = 0xffff_fff0;
/** An opening that could not leave for so long counts as unanswered. */
const openingStuckMs = 2_000;
/** The most that one stream sends before the next one's turn, in bytes. */
const turnBytes = 4_096;

export class SmuxMultiplexer implements StreamMultiplexer, Carrier {
  readonly clock: Clock;
  readonly budget: StreamMultiplexerOptions['budget'];
  readonly channel: StreamMultiplexerOptions['channel'];
  readonly #options: StreamMultiplexerOptions;
  readonly #streams = new Map<number, PortStream>();
  /** Streams with something to send, in the order of their turns. */
  readonly #turns = new Set<PortStream>();
  /** Streams whose opening is not sent yet. */
  readonly #unsent = new Set<number>();
  /** Called when the opening of that stream has left, or never will. */
  readonly #awaited = new Map<number, () => void>();
  #openingStuck = false;
  readonly #finishes: number[] = [];
  /** Streams to open and end at once, only for the agent's answer. */
  readonly #questions: number[] = [];
  readonly #parser: FrameParser;
  readonly #backpressure: ReadBackpressure;
  readonly #watch: ConnectWatch;
  #nops = 0;
  #refusals = 0;
  #lastId = 1;
  #error: Error | undefined;

  constructor(options: StreamMultiplexerOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.budget = options.budget;
    this.channel = options.channel;
    this.#backpressure = new ReadBackpressure(options);
    this.#watch = new ConnectWatch({ ...options, ask: () => this.#ask() });
    this.#parser = new FrameParser({
      opened: () => undefined,
      nop: () => undefined,
      data: (id, piece) => {
        this.#watch.answered(id);
        this.#streams.get(id)?.deliver(piece);
      },
      finished: (id) => this.#finishedByRemote(id),
    });
  }

  get streams(): number {
    return this.#streams.size;
  }

  get connectHangs(): boolean {
    return this.#watch.connectHangs;
  }

  get hasRoom(): boolean {
    const free = this.#streams.size < maxStreams && this.#lastId < maxStreamId;
    return this.#error === undefined && free && !this.#backpressure.on && !this.connectHangs;
  }

  get exhausted(): boolean {
    return this.#lastId >= maxStreamId;
  }

  get pending(): boolean {
    return this.#finishes.length > 0 || this.#questions.length > 0 || this.#nops > 0 || this.#turns.size > 0;
  }

  open(): PortStream {
    if (this.#error !== undefined) throw this.#error;
    this.#lastId += 2;
    const stream = new PortStream(this.#lastId, this);
    this.#streams.set(stream.id, stream);
    this.#unsent.add(stream.id);
    this.#backpressure.streamCount = this.#streams.size;
    this.hasOutput(stream);
    return stream;
  }

  get openingStuck(): boolean {
    return this.#openingStuck;
  }

  async opened({ id }: PortStream): Promise<boolean> {
    if (!this.#unsent.has(id) || this.channel.inputPaused) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = afterSilence(this.clock, openingStuckMs, (overslept) => {
      // Without a socket, without memory or after a sleep of this process it says nothing about the agent.
      const since = this.clock.now() - this.channel.inputPausedUntil;
      const excused =
        overslept ||
        this.channel.inputPaused ||
        since < openingStuckMs ||
        this.budget.free === 0 ||
        !this.#unsent.has(id);
      if (!excused && !this.#openingStuck) {
        this.#openingStuck = true;
        this.#options.onChange();
      }
      resolve(excused);
    });
    this.#awaited.set(id, () => resolve(true));
    const left = await promise;
    cancel();
    this.#awaited.delete(id);
    return left;
  }

  receive(bytes: Buffer): void {
    if (this.#error === undefined) this.#parser.push(bytes);
  }

  connectFailed(): void {
    this.#refusals += 1;
  }

  nop(): boolean {
    this.#nops = 1;
    this.channel.wake();
    return true;
  }

  padding(target: Buffer): boolean {
    const whole = target.length - (target.length % frameHeader);
    for (let at = 0; at < whole; at += frameHeader)
      writeFrameHeader(target, at, { command: command.nop, stream: 0, length: 0 });
    return whole === target.length;
  }

  fill(target: Buffer): number {
    let at = 0;
    const header = (kind: (typeof command)[keyof typeof command], stream: number, length: number): void => {
      writeFrameHeader(target, at, { command: kind, stream, length });
      at += frameHeader;
    };
    const left = (): number => target.length - at;
    while (this.#nops > 0 && left() >= frameHeader) {
      this.#nops -= 1;
      header(command.nop, 0, 0);
    }
    while (this.#finishes.length > 0 && left() >= frameHeader) {
      const id = this.#finishes.shift() ?? 0;
      header(command.finish, id, 0);
      this.#watch.finished(id);
    }
    while (this.#questions.length > 0 && left() >= 2 * frameHeader) {
      const id = this.#questions.shift() ?? 0;
      header(command.open, id, 0);
      header(command.finish, id, 0);
      this.#watch.opened(id);
      this.#watch.finished(id);
    }
    for (const stream of this.#turns) {
      // With room for the opening only, this stream's turn would be empty, again and again.
      if (left() <= frameHeader) break;
      this.#turns.delete(stream);
      if (this.#unsent.delete(stream.id)) {
        header(command.open, stream.id, 0);
        this.#watch.opened(stream.id);
        this.#openingLeft(stream.id);
      }
      const length = stream.waitingBytes(Math.min(turnBytes, maxFrameData, left() - frameHeader));
      if (length > 0) {
        header(command.push, stream.id, length);
        stream.takeInto(target, at, length);
        at += length;
      }
      // Back to the end of the queue: one turn in a row. Iterating a Set also visits what is added meanwhile.
      if (stream.waiting) this.#turns.add(stream);
    }
    return at;
  }

  end(error: Error): void {
    this.#error ??= error;
    for (const stream of this.#streams.values()) stream.destroy(error);
    this.#turns.clear();
    for (const settle of this.#awaited.values()) settle();
    this.#finishes.length = 0;
    this.#questions.length = 0;
    this.#backpressure.release();
    this.#watch.stop();
  }

  // --- what the streams report ---

  hasOutput(stream: PortStream): void {
    this.#turns.add(stream);
    this.channel.wake();
  }

  finish(stream: PortStream): void {
    this.#turns.delete(stream);
    if (this.#unsent.delete(stream.id)) {
      this.#awaited.get(stream.id)?.();
      return;
    }
    this.#finishes.push(stream.id);
    this.channel.wake();
  }

  closed(stream: PortStream): void {
    this.#streams.delete(stream.id);
    this.#backpressure.streamCount = this.#streams.size;
    this.#options.onChange();
  }

  fullChanged(stream: PortStream): void {
    this.#backpressure.changed(stream);
  }

  #openingLeft(id: number): void {
    this.#awaited.get(id)?.();
    if (!this.#openingStuck) return;
    this.#openingStuck = false;
    this.#options.onChange();
  }

  #ask(): void {
    if (this.#lastId >= maxStreamId) return;
    this.#lastId += 2;
    this.#questions.push(this.#lastId);
    this.channel.wake();
  }

  #finishedByRemote(id: number): void {
    // The flag names no stream. The agent connects one at a time, so it belongs to the first that then ends without a byte, which may be one
    // that we have ended meanwhile.
    const refused = this.#watch.answered(id) && this.#refusals > 0;
    if (refused) this.#refusals -= 1;
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (refused) {
      stream.destroy(connectRefused(this.#options.destination));
      return;
    }
    stream.finishedByRemote();
  }
}
