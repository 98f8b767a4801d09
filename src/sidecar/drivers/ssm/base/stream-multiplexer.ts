// What the data channel carries once the handshake is over: streams over one ordered byte channel. The agent's version decides which of two:
// smux/smux-multiplexer.ts with many streams, single-stream-multiplexer.ts with one. The channel pulls bytes when it has room; nothing is
// pushed into it.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { ByteChannel } from './byte-channel.ts';
import type { PortStream } from './port-stream.ts';

export interface StreamMultiplexerOptions {
  readonly channel: ByteChannel;
  readonly clock: Clock;
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
  /** Where the streams lead, for sentences: `orders.db.internal:5432`. */
  readonly destination: string;
  /** `connectHangs` or `hasRoom` has changed. */
  readonly onChange: () => void;
}

export interface StreamMultiplexer {
  /** Opens a stream to the destination. The protocol gives no sign of success; a refusal fails the stream. */
  open(): PortStream;
  /**
   * Resolves once the opening of the stream has left, or might leave as soon as there is a socket; false if it could not leave for 2 s, because
   * the agent takes nothing: try another session. Never rejects.
   */
  opened(stream: PortStream): Promise<boolean>;
  /** True from such a false until an opening leaves. */
  readonly openingStuck: boolean;
  /** Bytes of the agent, in order. @throws if they break the protocol; the channel must be ended then. */
  receive(bytes: Buffer): void;
  /** The agent could not connect one of the streams (flag 3). */
  connectFailed(): void;
  /** Writes what should be sent next into `target`; returns how many bytes, 0 for none. */
  fill(target: Buffer): number;
  /** True while `fill` would write something. */
  readonly pending: boolean;
  /** Fills `target` with frames without effect; false if the protocol has none. */
  padding(target: Buffer): boolean;
  /** Sends a frame without effect, only to be acknowledged; false if the protocol has none. */
  nop(): boolean;
  /** True while the agent hangs in connecting to the destination: it would serve no new stream. */
  readonly connectHangs: boolean;
  readonly hasRoom: boolean;
  /** True if it will never have room again. */
  readonly exhausted: boolean;
  readonly streams: number;
  /** Ends every stream with that error; nothing is sent for it. */
  end(error: Error): void;
}

/** The agent could not connect a stream. It does not report why: refused, unknown name or no route. */
export function connectRefused(destination: string): TunnelError {
  return new TunnelError(
    'DestinationUnreachable',
    `the SSM agent could not connect to ${destination}: start the service, correct destinationHost or destinationPort, or let the node through to it`,
  );
}
