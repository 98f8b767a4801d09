// What a data channel sends next, and in how large messages: flags first, then bytes of the streams. Nodes that have taken one get 16 KiB.
// No I/O. Neighbours: channel-transport.ts owns it, message-link.ts numbers and sends the messages.
import type { Established } from './channel-handshake.ts';
import type { Outgoing } from './message-link.ts';
import { encodeFlag, payloadType } from './payload.ts';

/** Payloads in bytes. */
export const smallPayload = 1_024;
export const largePayload = 16_384;

export interface OutboxOptions {
  /** Whether messages of 16 KiB may be sent now. */
  readonly largePayloads: () => boolean;
  /** Agent and streams once the handshake is over; undefined before. */
  readonly established: () => Established | undefined;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #flags: number[] = [];
  readonly #scratch = Buffer.allocUnsafe(largePayload);
  #largeSince: number | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** True while `next` may have something. */
  get pending(): boolean {
    return this.#flags.length > 0 || this.#options.established()?.multiplexer.pending === true;
  }

  /** When the first large message was made; undefined: none. */
  get largeSince(): number | undefined {
    return this.#largeSince;
  }

  flag(value: number): void {
    this.#flags.push(value);
  }

  /** The next message, if any; its payload is valid until the next call. */
  next(now: number): Outgoing | undefined {
    const value = this.#flags.shift();
    if (value !== undefined) return { type: payloadType.flag, payload: encodeFlag(value) };
    const { established, largePayloads } = this.#options;
    const { multiplexer } = established() ?? {};
    if (multiplexer?.pending !== true) return undefined;
    const length = multiplexer.fill(this.#scratch.subarray(0, largePayloads() ? largePayload : smallPayload));
    if (length === 0) return undefined;
    if (length > smallPayload) this.#largeSince ??= now;
    return { type: payloadType.output, payload: this.#scratch.subarray(0, length) };
  }
}
