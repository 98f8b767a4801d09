// The far side of a smux multiplexer in tests: takes its bytes message by message, and sends what the test wants.
// It reads and writes frames by hand, not with the driver's codec.
import { ByteBudget } from '../../../../../../../src/sidecar/base/byte-budget.ts';
import type { ByteChannel } from '../../../../../../../src/sidecar/drivers/ssm/base/byte-channel.ts';
import type { StreamMultiplexerOptions } from '../../../../../../../src/sidecar/drivers/ssm/base/stream-multiplexer.ts';
import { SmuxMultiplexer } from '../../../../../../../src/sidecar/drivers/ssm/streams/smux/smux-multiplexer.ts';
import { FakeClock, settle } from '../../../../../../support/fake-clock.ts';
import { type NaiveFrame, naiveFrames } from '../../naive-codec.ts';

export class AgentSide implements ByteChannel {
  readonly clock = new FakeClock();
  readonly budget = new ByteBudget();
  readonly flags: number[] = [];
  /** Every frame so far. */
  readonly frames: NaiveFrame[] = [];
  /** The sizes of the messages that contained the frames. */
  readonly messages: number[] = [];
  readonly options: StreamMultiplexerOptions;
  changes = 0;
  reading = true;
  pauses = 0;
  inputPaused = false;
  inputPausedUntil = 0;
  /** Whether the agent acknowledges what it receives. */
  acknowledges = true;
  payloadBytes = 1_024;

  constructor() {
    const onChange = (): void => {
      this.changes += 1;
    };
    this.options = { channel: this, clock: this.clock, budget: this.budget, destination: 'db:5432', onChange };
  }

  wake(): void {}

  pauseReading(): void {
    this.reading = false;
    this.inputPaused = true;
    this.pauses += 1;
  }

  resumeReading(): void {
    this.reading = true;
    this.inputPaused = false;
    this.inputPausedUntil = this.clock.now();
  }

  sendFlag(value: number): void {
    this.flags.push(value);
  }

  mark(): () => boolean {
    return () => this.acknowledges;
  }

  /** Takes messages until the multiplexer has no more; returns the new frames. */
  async take(multiplexer: SmuxMultiplexer): Promise<readonly NaiveFrame[]> {
    const before = this.frames.length;
    await settle();
    while (multiplexer.pending) {
      const message = Buffer.alloc(this.payloadBytes);
      const length = multiplexer.fill(message);
      if (length === 0) break;
      this.messages.push(length);
      this.frames.push(...naiveFrames(message.subarray(0, length)));
      await settle();
    }
    return this.frames.slice(before);
  }

  /** All data that was sent on that stream. */
  dataOf(stream: number): Buffer {
    const pushes = this.frames.filter((frame) => frame.command === 2 && frame.stream === stream);
    return Buffer.from(pushes.map(({ data }) => data).join(''), 'hex');
  }
}

export const push = (stream: number, data: Buffer): Buffer => {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += 32_768) {
    const piece = data.subarray(at, at + 32_768);
    parts.push(Buffer.from([1, 2, piece.length % 256, piece.length >> 8, stream % 256, stream >> 8, 0, 0]), piece);
  }
  return Buffer.concat(parts);
};

export const finish = (stream: number): Buffer => Buffer.from([1, 1, 0, 0, stream % 256, stream >> 8, 0, 0]);

/** A multiplexer and its far side. */
export function pair(): { readonly agent: AgentSide; readonly multiplexer: SmuxMultiplexer } {
  const agent = new AgentSide();
  return { agent, multiplexer: new SmuxMultiplexer(agent.options) };
}
