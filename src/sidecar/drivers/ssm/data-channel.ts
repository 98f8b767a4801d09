// One Session Manager session as an ordered byte channel that outlives its web sockets: handshake first, then streams; resumed when a
// socket is gone or the agent silent; ended when nothing will come any more.
// Neighbours: reconnecting-socket.ts (one after the other), message-link.ts (messages in order), channel-handshake.ts (the beginning), send-loop.ts (when to act),
// outbox.ts (what to say), stream-multiplexer.ts (what is carried).
import { TunnelError } from '../../../contract/errors.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import type { ChannelTicket } from './aws/api.ts';
import type { Expiry } from './base/lifetime-limits.ts';
import type { ByteChannel, StreamMultiplexer } from './base/stream-multiplexer.ts';
import { type AgentVerdict, keepAliveMs, probeMs } from './channel/agent-liveness.ts';
import { ChannelHandshake, type Established } from './channel/channel-handshake.ts';
import { closedReason } from './channel/closed-reason.ts';
import type { AgentFacts } from './channel/handshake-protocol.ts';
import { MessageLink } from './channel/message-link.ts';
import { Outbox } from './channel/outbox.ts';
import { encodeFlag, flag, parseFlag, payloadType } from './channel/payload.ts';
import { ReconnectingSocket } from './channel/reconnecting-socket.ts';
import { SendLoop } from './channel/send-loop.ts';
import { SocketOpener, type SocketOpenerOptions } from './channel/socket-opener.ts';
import { Termination } from './channel/termination.ts';
import { SingleStreamMultiplexer } from './streams/single-stream-multiplexer.ts';
import { SmuxMultiplexer } from './streams/smux/smux-multiplexer.ts';

export interface DataChannelOptions extends SocketOpenerOptions {
  readonly ticket: ChannelTicket;
  readonly remoteHost: boolean;
  /** The node, and what its agent connects to, for sentences. */
  readonly target: string;
  readonly destination: string;
  /** Whether agents that are known to take them get messages of 16 KiB. */
  readonly largePayloads: boolean;
  /** Whether an idle agent is asked for life. */
  readonly watchIdle: boolean;
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
  /** `suspect`, `hasRoom` or `streams` may have changed. */
  readonly onChange: () => void;
}

export class DataChannel implements ByteChannel {
  readonly #options: DataChannelOptions;
  readonly #socket: ReconnectingSocket;
  readonly #link: MessageLink;
  readonly #sendLoop: SendLoop;
  readonly #handshake: ChannelHandshake;
  readonly #termination: Termination;
  readonly #outbox: Outbox;
  #largeFatal = false;
  readonly #openedAt: number;
  #closedByService = false;
  #expiry: Expiry | undefined;

  /** Opens the channel of a session that was just started, up to the end of the handshake. @throws TunnelError, or the signal's reason. */
  static async open(options: DataChannelOptions, signal: AbortSignal): Promise<DataChannel> {
    const channel = new DataChannel(options);
    try {
      await channel.#handshake.run((attempt) => channel.#socket.open(attempt), signal);
      // The end may have come with the proof: whoever gets the channel would wait for a signal that has been given.
      channel.#termination.signal.throwIfAborted();
      return channel;
    } catch (error) {
      channel.#end(error instanceof TunnelError ? error : new TunnelError('NotConnected', 'the attempt was given up'));
      await channel.close();
      throw error;
    }
  }

  private constructor(options: DataChannelOptions) {
    this.#options = options;
    this.#openedAt = options.clock.now();
    this.#termination = new Termination(options, options.ticket.sessionId);
    const outbox = new Outbox(options);
    this.#outbox = outbox;
    const link = new MessageLink(options, {
      deliver: (type, payload) => this.#payload(type, payload),
      heard: () => this.#sendLoop.heard(),
      acknowledged: () => {
        this.#sendLoop.acknowledged();
        this.#handshake.acknowledged();
      },
      channelClosed: (output) => this.#endedByService(closedReason(output, options)),
    });
    this.#link = link;
    this.#sendLoop = new SendLoop({
      clock: options.clock,
      link,
      wanting: () => outbox.wanting,
      next: (now) => outbox.next(now),
      probe: () => this.#established?.multiplexer.nop() === true,
      onVerdict: (verdict, before) => this.#judged(verdict, before),
    });
    this.#handshake = new ChannelHandshake({ ...options, link, onComplete: (agent) => this.#complete(agent) });
    this.#socket = new ReconnectingSocket(
      { ...options, opening: new SocketOpener(options, options.ticket) },
      {
        up: (socket) => this.#sendLoop.attach(socket),
        message: (bytes) => link.receive(bytes),
        drained: () => {
          if (outbox.wanting || link.outstanding) this.wake();
        },
        down: (why) => this.#down(why),
        gone: () => this.#endedByService(closedReason('', options)),
        over: (error) => this.#end(error),
      },
    );
  }

  /** Aborts, with a TunnelError, once nothing will come any more, and before the streams end. */
  get signal(): AbortSignal {
    return this.#termination.signal;
  }

  get sessionId(): string {
    return this.#options.ticket.sessionId;
  }

  get agent(): AgentFacts {
    return this.#use().agent;
  }

  /** The streams. */
  get multiplexer(): StreamMultiplexer {
    return this.#use().multiplexer;
  }

  /** The agent is silent, or hangs in connecting: new streams should go elsewhere. */
  get suspect(): boolean {
    return this.#sendLoop.verdict !== 'alive' || this.#established?.multiplexer.connectHangs === true;
  }

  /** The agent lives, but hangs in connecting to the destination. */
  get connectHangs(): boolean {
    if (this.#sendLoop.verdict !== 'alive' || this.#established?.multiplexer.connectHangs !== true) return false;
    // Where messages of ours wait as well, it is rather the agent that is silent.
    const silentMs = this.#options.clock.now() - this.#sendLoop.heardAt;
    return !this.#link.outstanding || silentMs < probeMs + 500;
  }

  /** How the service ended the session although its agent lived; undefined while it has not, and for every other end. */
  get expiry(): Expiry | undefined {
    return this.#expiry;
  }

  get ageMs(): number {
    return this.#options.clock.now() - this.#openedAt;
  }

  /** True when the end may have come of messages larger than the agent takes. */
  get diedOfLargePayloads(): boolean {
    return this.#largeFatal;
  }

  /** Leaves the socket and resumes the session, as after the service's hourly close. @throws TunnelError if the session ended instead. */
  async renewSocket(): Promise<void> {
    await this.#renew('the socket is renewed');
    this.#termination.signal.throwIfAborted();
  }

  /** Ends the session at both ends and every stream. Resolves when nothing is left of it here; never rejects. */
  async close(): Promise<void> {
    const closed = new TunnelError('NotConnected', 'the session was closed');
    if (!this.#termination.over) await this.#goodbye(closed);
    this.#end(closed);
    await this.#socket.close();
    await this.#termination.told();
  }

  // --- what the port session asks for ---

  get inputPaused(): boolean {
    return this.#link.inputPaused;
  }

  get inputPausedUntil(): number {
    return this.#link.inputPausedUntil;
  }

  mark(): () => boolean {
    return this.#link.mark();
  }

  wake(): void {
    this.#sendLoop.wake();
  }

  pauseReading(): void {
    this.#sendLoop.pauseReading();
  }

  resumeReading(): void {
    this.#sendLoop.resumeReading();
  }

  sendFlag(value: number): void {
    this.#outbox.flag(value);
    this.wake();
  }

  #down(why: string): boolean {
    this.#sendLoop.detach();
    if (this.#established !== undefined) return true;
    this.#handshake.fail(
      new TunnelError(
        'SessionRefused',
        `the data channel to ${this.#options.target} was closed during the handshake (${why}): look at the log of the SSM agent there`,
      ),
    );
    return false;
  }

  async #renew(why: string): Promise<void> {
    this.#sendLoop.detach();
    await this.#socket.renew(why);
  }

  // --- what the agent says ---

  #payload(type: number, payload: Buffer): void {
    if (this.#termination.over) return;
    const established = this.#established;
    if (established === undefined) {
      this.#handshake.receive(type, payload);
      this.wake();
    } else if (type === payloadType.output) {
      try {
        established.multiplexer.receive(payload);
      } catch (cause) {
        const sentence = `the SSM agent on ${this.#options.target} broke the protocol of the session: update or restart it`;
        this.#end(new TunnelError('BastionLost', sentence, { cause }));
      }
    } else if (type === payloadType.flag && parseFlag(payload) === flag.connectToPortError)
      established.multiplexer.connectFailed();
  }

  #complete(agent: AgentFacts): StreamMultiplexer {
    const { clock, budget, destination, onChange } = this.#options;
    const options = {
      channel: this,
      destination,
      clock,
      budget,
      onChange: () => {
        this.#watchAgent();
        onChange();
      },
    };
    const multiplexer = agent.multiplexes ? new SmuxMultiplexer(options) : new SingleStreamMultiplexer(options);
    this.#outbox.established = { agent, multiplexer };
    this.#watchAgent();
    return multiplexer;
  }

  /** An idle agent is asked for life only where somebody wants to know, or it would end the session. */
  #watchAgent(): void {
    const established = this.#established;
    if (established === undefined || this.#termination.over || !established.agent.multiplexes) return;
    const { agent, multiplexer } = established;
    const watched = this.#options.watchIdle || multiplexer.streams > 0;
    this.#sendLoop.probeEvery(watched ? probeMs : agent.needsKeepAlive ? keepAliveMs : undefined);
  }

  #judged(verdict: AgentVerdict, before: AgentVerdict): void {
    if (verdict === 'ended') {
      this.#end(
        new TunnelError('BastionLost', `the SSM agent on ${this.#options.target} gave no sign of life for 75 s`),
      );
      return;
    }
    if (verdict === 'resume') void this.#renew('the agent gave no sign of life for 25 s');
    if ((before === 'alive') !== (verdict === 'alive')) this.#options.onChange();
  }

  get #established(): Established | undefined {
    return this.#outbox.established;
  }

  #use(): Established {
    if (this.#established === undefined) throw new Error('the handshake is not over');
    return this.#established;
  }

  // --- the end ---

  async #goodbye(reason: TunnelError): Promise<void> {
    this.#termination.announce(reason);
    this.#established?.multiplexer.end(reason);
    if (this.#established === undefined || this.#link.socket === undefined) return;
    this.#link.sendNow({ type: payloadType.flag, payload: encodeFlag(flag.terminateSession) });
    this.wake();
    await this.#termination.goodbye();
  }

  #endedByService(error: TunnelError): void {
    if (this.#termination.over) return;
    this.#closedByService = true;
    if (this.#sendLoop.verdict === 'alive' && error.code === 'BastionLost' && !this.#termination.signal.aborted) {
      this.#expiry = { ageMs: this.ageMs, idleMs: this.#options.clock.now() - this.#link.sentAt };
    }
    this.#end(error);
  }

  #end(error: TunnelError): void {
    if (this.#termination.over) return;
    this.#largeFatal = this.#outbox.diedOfLarge(this.#sendLoop.heardAt, error);
    this.#sendLoop.stop();
    this.#termination.announce(error);
    this.#handshake.fail(error);
    this.#established?.multiplexer.end(error);
    void this.#socket.close();
    this.#termination.complete(!this.#closedByService);
    this.#options.onChange();
  }
}
