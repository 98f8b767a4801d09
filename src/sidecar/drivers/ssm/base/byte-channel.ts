// The ordered byte channel on which streams are multiplexed. Neighbours: channel-transport.ts implements it; stream-multiplexer.ts and
// port-stream.ts use it.

export interface ByteChannel {
  /** There are bytes for `fill`. May be called often; never calls back in the same turn. */
  wake(): void;
  /** Stops and resumes reading, which is the only way to slow the agent down. While it is stopped, no silence counts. */
  pauseReading(): void;
  resumeReading(): void;
  /** Sends a flag of payload.ts, in order with the bytes. */
  sendFlag(value: number): void;
  /** True while nothing of the agent can arrive: there is no socket, or reading is paused. */
  readonly inputPaused: boolean;
  /** When input was last resumed, in milliseconds of the clock. */
  readonly inputPausedUntil: number;
  /** Marks what was sent until now; the function returns whether the agent has acknowledged all of it. */
  mark(): () => boolean;
}
