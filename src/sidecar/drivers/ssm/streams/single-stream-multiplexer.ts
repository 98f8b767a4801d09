// The only stream of a channel whose agent does not multiplex (up to 3.0.196.0): the channel's bytes are the stream's bytes. It carries one
// stream and is then exhausted: the agent would accept another, but nothing separates the late bytes of the first from the early ones of the
// second. The agent does not report the destination's end either, so a stream ends by its client or with the channel.
// Neighbour: smux/smux-multiplexer.ts, for any newer agent.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Clock } from '../../../../process/clock.ts';
import { type Carrier, PortStream } from '../base/port-stream.ts';
import { connectRefused, type StreamMultiplexer, type StreamMultiplexerOptions } from '../base/stream-multiplexer.ts';
import { flag } from '../channel/payload.ts';

/** At most so much is kept until there is a client, in bytes. */
const earlyLimit = 64 * 1024;

export class SingleStreamMultiplexer implements StreamMultiplexer, Carrier {
  readonly clock: Clock;
  readonly budget: StreamMultiplexerOptions['budget'];
  readonly channel: StreamMultiplexerOptions['channel'];
  readonly connectHangs = false;
  readonly openingStuck = false;
  readonly #options: StreamMultiplexerOptions;
  #stream: PortStream | undefined;
  #used = false;
  #error: Error | undefined;
  /** What the destination sent before there was a client: some greet first. */
  #early: Buffer[] = [];
  #earlyBytes = 0;

  constructor(options: StreamMultiplexerOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.budget = options.budget;
    this.channel = options.channel;
  }

  get streams(): number {
    return this.#stream === undefined ? 0 : 1;
  }

  get hasRoom(): boolean {
    return !this.#used && this.#error === undefined;
  }

  get exhausted(): boolean {
    return this.#used;
  }

  get pending(): boolean {
    return this.#stream?.waiting === true;
  }

  open(): PortStream {
    if (this.#error !== undefined) throw this.#error;
    if (this.#used)
      throw new TunnelError('NotConnected', 'the agent is too old for more than one connection in a session');
    this.#used = true;
    const stream = new PortStream(0, this);
    this.#stream = stream;
    for (const piece of this.#early) stream.deliver(piece);
    this.#forgetEarly();
    this.#options.onChange();
    return stream;
  }

  opened(): Promise<boolean> {
    // The agent connected before the session was open.
    return Promise.resolve(true);
  }

  receive(bytes: Buffer): void {
    if (this.#stream !== undefined) this.#stream.deliver(bytes);
    else if (!this.#used) {
      if (this.#earlyBytes + bytes.length > earlyLimit) throw new Error('the destination sends before it has a client');
      this.#early.push(Buffer.from(bytes));
      this.#earlyBytes += bytes.length;
      this.budget.take(bytes.length);
    }
  }

  connectFailed(): void {
    this.#stream?.destroy(connectRefused(this.#options.destination));
  }

  fill(target: Buffer): number {
    return this.#stream?.takeInto(target, 0, target.length) ?? 0;
  }

  padding(): boolean {
    return false;
  }

  nop(): boolean {
    return false;
  }

  end(error: Error): void {
    this.#error ??= error;
    this.#stream?.destroy(error);
    this.#forgetEarly();
  }

  // --- what the stream reports ---

  hasOutput(): void {
    this.channel.wake();
  }

  finish(): void {
    if (this.#error === undefined) this.channel.sendFlag(flag.disconnectToPort);
  }

  closed(): void {
    this.#stream = undefined;
    this.#options.onChange();
  }

  fullChanged(stream: PortStream): void {
    if (stream.full) this.channel.pauseReading();
    else this.channel.resumeReading();
  }

  #forgetEarly(): void {
    this.#early = [];
    this.budget.giveBack(this.#earlyBytes);
    this.#earlyBytes = 0;
  }
}
