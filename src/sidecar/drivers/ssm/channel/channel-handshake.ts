// The way from a socket to a channel that carries: the handshake, and then the proof that the agent has set up the forwarding, which it tells
// only by answering. Ends once, well or not, after 20 s at the latest.
// Neighbours: handshake-protocol.ts decides what to answer, data-channel.ts owns it and goes on from there.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { StreamMultiplexer } from '../base/stream-multiplexer.ts';
import { type AgentFacts, HandshakeProtocol } from './handshake-protocol.ts';
import type { MessageLink } from './message-link.ts';
import { payloadType } from './payload.ts';

/** The agent waits 15 s for its answer; this is ours for the whole. */
const limitMs = 20_000;
const proofBytes = 64;

/** What there is once the handshake is over. */
export interface Established {
  readonly agent: AgentFacts;
  readonly multiplexer: StreamMultiplexer;
}

export interface ChannelHandshakeOptions {
  readonly clock: Clock;
  readonly remoteHost: boolean;
  /** What the session leads to, for sentences. */
  readonly target: string;
  readonly link: MessageLink;
  /** The handshake is over; gives the port session that is to carry the streams. */
  readonly onComplete: (agent: AgentFacts) => StreamMultiplexer;
}

export class ChannelHandshake {
  readonly #options: ChannelHandshakeOptions;
  readonly #handshake: HandshakeProtocol;
  readonly #settled: Promise<void>;
  #settle: (error?: unknown) => void = () => undefined;
  /** Whether the agent has answered what only a working port session answers. */
  #proof: (() => boolean) | undefined;

  constructor(options: ChannelHandshakeOptions) {
    this.#options = options;
    this.#handshake = new HandshakeProtocol(options);
    this.#settled = new Promise<void>((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // It may fail before it is awaited, or after nobody waits any more.
    this.#settled.catch(() => undefined);
  }

  /** Opens the first socket and waits for the proof. @throws TunnelError, or the signal's reason. */
  async run(openSocket: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const giveUp = new AbortController();
    const abort = (): void => {
      giveUp.abort(signal.reason);
      this.#settle(signal.reason);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    const cancel = this.#options.clock.after(limitMs, () =>
      this.fail(
        new TunnelError(
          'SessionRefused',
          `the SSM agent on ${this.#options.target} did not complete the handshake in 20 s: look at its log`,
        ),
      ),
    );
    try {
      await openSocket(giveUp.signal);
      await this.#settled;
    } finally {
      cancel();
      signal.removeEventListener('abort', abort);
    }
  }

  /** Has no effect once it has ended. */
  fail(error: TunnelError): void {
    this.#settle(error);
  }

  /** A payload of the agent before the handshake is over. */
  receive(type: number, payload: Buffer): void {
    const step = this.#handshake.receive(type, payload);
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
    this.#settle();
  }

  #answer(payload: Buffer): void {
    this.#options.link.sendNow({ type: payloadType.handshakeResponse, payload });
  }

  /** The agent answers nothing until it has set up the forwarding, or failed to: only then is the channel open. */
  #prove(multiplexer: StreamMultiplexer): void {
    if (!multiplexer.nop()) return this.#settle();
    const nop = Buffer.alloc(proofBytes);
    const { link } = this.#options;
    link.sendNow({ type: payloadType.output, payload: nop.subarray(0, multiplexer.fill(nop)) });
    this.#proof = link.mark();
  }
}
