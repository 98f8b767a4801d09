// What a data channel says next, and in how large messages: flags first, then bytes of the streams. Agents that are known to take them get
// 16 KiB; a session that dies soon after its first large message is held to have died of it. No I/O.
// Neighbours: data-channel.ts asks, message-link.ts numbers and sends.
import type { TunnelError } from '../../../../contract/errors.ts';
import type { Established } from './channel-handshake.ts';
import type { Outgoing } from './message-link.ts';
import { encodeFlag, payloadType } from './payload.ts';

const smallPayload = 1_024;
const largePayload = 16_384;
const probationMs = 60_000;

export class Outbox {
  /** What there is to say once the handshake is over. */
  established: Established | undefined;
  readonly #large: boolean;
  readonly #flags: number[] = [];
  readonly #scratch = Buffer.allocUnsafe(largePayload);
  #largeSince: number | undefined;

  /** `largePayloads`: whether messages of 16 KiB may be tried. */
  constructor({ largePayloads }: { readonly largePayloads: boolean }) {
    this.#large = largePayloads;
  }

  get wanting(): boolean {
    return this.#flags.length > 0 || this.established?.multiplexer.pending === true;
  }

  flag(value: number): void {
    this.#flags.push(value);
  }

  /** The next message, if there is anything to say; its payload is valid until the next call. */
  next(now: number): Outgoing | undefined {
    const value = this.#flags.shift();
    if (value !== undefined) return { type: payloadType.flag, payload: encodeFlag(value) };
    if (this.established?.multiplexer.pending !== true) return undefined;
    const { agent, multiplexer } = this.established;
    const length = multiplexer.fill(this.#scratch.subarray(0, this.#large ? agent.payloadBytes : smallPayload));
    if (length === 0) return undefined;
    if (length > smallPayload) this.#largeSince ??= now;
    return { type: payloadType.output, payload: this.#scratch.subarray(0, length) };
  }

  /** Whether a session that ends for this reason, and whose agent was last heard then, may have died of large messages. */
  diedOfLarge(heardAt: number, { code }: TunnelError): boolean {
    return this.#largeSince !== undefined && heardAt - this.#largeSince < probationMs && code === 'BastionLost';
  }
}
