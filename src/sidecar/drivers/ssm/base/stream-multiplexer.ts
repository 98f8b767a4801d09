// What the data channel carries once the handshake is over: streams over one ordered byte channel. Two ways, the agent's age decides:
// smux/smux-multiplexer.ts with many streams, single-stream-multiplexer.ts with one. The channel pulls bytes when it has room; nothing is pushed at it.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { PortStream } from './port-stream.ts';

/** The ordered byte channel below, as a port session sees it. */
export interface ByteChannel {
  /** There are bytes to `fill` with. May be called often; never calls back in the same turn. */
  wake(): void;
  /** Stops and resumes reading: the only brake on the agent. While stopped, nobody's silence counts. */
  pauseReading(): void;
  resumeReading(): void;
  /** Sends a flag of payload.ts, in order with the bytes. */
  sendFlag(value: number): void;
  /** True while the agent cannot be heard: the socket is down, or reading is paused. */
  readonly inputPaused: boolean;
  /** When input was last paused, in milliseconds of the clock. */
  readonly inputPausedUntil: number;
  /** Marks what was sent until now; the function tells whether the agent has acknowledged all of it. */
  mark(): () => boolean;
}

export interface StreamMultiplexerOptions {
  readonly channel: ByteChannel;
  readonly clock: Clock;
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
  /** What the streams lead to, for sentences: `orders.db.internal:5432`. */
  readonly destination: string;
  /** `stuck` or `hasRoom` has changed. */
  readonly onChange: () => void;
}

export interface StreamMultiplexer {
  /** A stream to the session's destination. Resolves nothing: the protocol gives no sign of success, a refusal fails the stream. */
  open(): PortStream;
  /** Bytes of the agent, in order. @throws when they break the protocol: the session is of no use then. */
  receive(bytes: Buffer): void;
  /** The agent could not connect one of the streams (flag 3). */
  connectFailed(): void;
  /** Writes what is to be sent to `target`; returns how many bytes. 0 when there is nothing. */
  fill(target: Buffer): number;
  /** True while `fill` has something to give. */
  readonly pending: boolean;
  /** Asks for an acknowledgement without any effect; false where the protocol has no such thing. */
  nop(): boolean;
  /** The agent hangs in connecting to the destination: no new stream would be served. */
  readonly connectHangs: boolean;
  readonly hasRoom: boolean;
  /** It will never have room again. */
  readonly exhausted: boolean;
  readonly streams: number;
  /** Ends every stream with that error; nothing is sent for it. */
  end(error: Error): void;
}

/** The agent could not connect a stream. Refused, unknown name, no route: it does not tell which. */
export function connectRefused(destination: string): TunnelError {
  return new TunnelError(
    'DestinationUnreachable',
    `the SSM agent could not connect to ${destination}: start the service, correct destinationHost or destinationPort, or let the node through to it`,
  );
}
