// From an open socket to a channel that carries streams: the handshake, and then the proof that the agent has set up the forwarding, which it
// shows only by answering. Ends once, successful or not, after 20 s at the latest.
// Neighbours: handshake-protocol.ts decides what to answer, data-channel.ts owns it and goes on from there.
import { TunnelError } from '../../../../contract/errors.ts';
import { onAbort } from '../../../../process/abort.ts';
import type { Clock } from '../../../../process/clock.ts';
import { deadline } from '../../../../process/deadline.ts';
import type { StreamMultiplexer } from '../base/stream-multiplexer.ts';
import { type AgentFacts, HandshakeProtocol } from './handshake-protocol.ts';
import type { MessageLink } from './message-link.ts';
import { payloadType } from './payload.ts';

/** For the socket, the handshake and the proof together; the agent itself waits 15 s for its answer. */
const limitMs = 20_000;
const proofBytes = 64;

/** What is known once the handshake is over. */
export interface Established {
  readonly agent: AgentFacts;
  readonly multiplexer: StreamMultiplexer;
}

export interface ChannelHandshakeOptions {
  readonly clock: Clock;
  readonly remoteHost: boolean;
  /** The node, for sentences. */
  readonly target: string;
  readonly link: Pick<MessageLink, 'sendNow' | 'mark'>;
  /** The handshake is over; returns the multiplexer that will carry the streams. */
  readonly onComplete: (agent: AgentFacts) => StreamMultiplexer;
}

export class ChannelHandshake {
  readonly #options: ChannelHandshakeOptions;
  readonly #protocol: HandshakeProtocol;
  readonly #settled = Promise.withResolvers<void>();
  /** True once the agent has answered what only a complete forwarding answers. */
  #proof: (() => boolean) | undefined;

  constructor(options: ChannelHandshakeOptions) {
    this.#options = options;
    this.#protocol = new HandshakeProtocol(options);
    // It may fail before anyone waits for it, or when nobody waits any more.
    this.#settled.promise.catch(() => undefined);
  }

  /** Opens the first socket and waits for the proof. @throws TunnelError, or the signal's reason. */
  async run(openSocket: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, target } = this.#options;
    const reason = (): TunnelError =>
      new TunnelError(
        'SessionRefused',
        `the SSM agent on ${target} did not complete the handshake in 20 s: look at its log`,
      );
    using limit = deadline(limitMs, { signal, clock, reason });
    using _ = onAbort(limit.signal, this.#settled.reject);
    await openSocket(limit.signal);
    await this.#settled.promise;
  }

  /** Has no effect once it has ended. */
  fail(error: TunnelError): void {
    this.#settled.reject(error);
  }

  /** A payload of the agent before the handshake is over. */
  receive(type: number, payload: Buffer): void {
    const step = this.#protocol.receive(type, payload);
    switch (step.kind) {
      case 'nothing':
        return;
      case 'answer':
        return this.#answer(step.payload);
      case 'refused':
        if (step.payload !== undefined) this.#answer(step.payload);
        return this.fail(step.error);
      case 'complete':
        this.#prove(this.#options.onComplete(step.agent));
    }
  }

  /** The agent acknowledged something. */
  acknowledged(): void {
    if (this.#proof?.() !== true) return;
    this.#proof = undefined;
    this.#settled.resolve();
  }

  #answer(payload: Buffer): void {
    this.#options.link.sendNow({ type: payloadType.handshakeResponse, payload });
  }

  /** The agent answers nothing until it has set up the forwarding or failed to: the channel is open only then. */
  #prove(multiplexer: StreamMultiplexer): void {
    if (!multiplexer.nop()) return this.#settled.resolve();
    const nop = Buffer.alloc(proofBytes);
    const { link } = this.#options;
    link.sendNow({ type: payloadType.output, payload: nop.subarray(0, multiplexer.fill(nop)) });
    this.#proof = link.mark();
  }
}
