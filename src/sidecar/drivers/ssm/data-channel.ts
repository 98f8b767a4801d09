// One Session Manager session as a data channel: handshake first, then streams; resumed when a socket is lost or the agent silent; ended
// when nothing will come any more. Decides what becomes of it and why; the bytes are moved below.
// Neighbours: channel-transport.ts (the bytes), channel-handshake.ts (the beginning), termination.ts (the end), stream-multiplexer.ts (what
// is carried); renewing-channel.ts replaces it.
import { TunnelError } from '../../../contract/errors.ts';
import { quoted, type Trace } from '../../base/trace.ts';
import type { Expiry } from './base/lifetime-limits.ts';
import type { StreamMultiplexer } from './base/stream-multiplexer.ts';
import type { AgentVerdict } from './channel/agent-silence.ts';
import { ChannelHandshake, type Established } from './channel/channel-handshake.ts';
import { ChannelTransport, type ChannelTransportOptions } from './channel/channel-transport.ts';
import { closedReason, tooFarBehind } from './channel/closed-reason.ts';
import type { AgentFacts } from './channel/handshake-protocol.ts';
import { LargeTrial } from './channel/large-trial.ts';
import { encodeFlag, flag, parseFlag, payloadType } from './channel/payload.ts';
import { keepAliveMs, probeMs } from './channel/probe-schedule.ts';
import { Termination } from './channel/termination.ts';
import { SingleStreamMultiplexer } from './streams/single-stream-multiplexer.ts';
import { SmuxMultiplexer } from './streams/smux/smux-multiplexer.ts';

export interface DataChannelOptions extends Omit<ChannelTransportOptions, 'established'> {
  readonly remoteHost: boolean;
  /** The node, and what its agent connects to, for sentences. */
  readonly target: string;
  readonly destination: string;
  /** Whether an idle agent is asked whether it lives. */
  readonly watchIdle: boolean;
  readonly trace?: Trace | undefined;
  /** `suspect` or anything of the multiplexer may have changed. */
  readonly onChange: () => void;
}

/** A channel that dies so soon after its first large message is assumed to have died of it. */
const probationMs = 60_000;

export class DataChannel {
  readonly #options: DataChannelOptions;
  readonly #transport: ChannelTransport;
  readonly #handshake: ChannelHandshake;
  readonly #termination: Termination;
  readonly #openedAt: number;
  #established: Established | undefined;
  /** While it is made. */
  #trial: LargeTrial | undefined;
  #expiry: Expiry | undefined;
  #diedOfLargePayloads = false;

  /** Opens the channel of a session that was just started, including the handshake. @throws TunnelError, or the signal's reason. */
  static async open(options: DataChannelOptions, signal: AbortSignal): Promise<DataChannel> {
    const channel = new DataChannel(options);
    try {
      await channel.#handshake.run(async (attempt) => {
        await channel.#transport.open(attempt);
        options.trace?.begin('agent');
      }, signal);
      // The end may have come together with the proof: the caller would wait for a signal that has aborted already.
      channel.signal.throwIfAborted();
      options.trace?.note(`version ${quoted(channel.agent.version)}`);
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
    this.#transport = new ChannelTransport(
      { ...options, established: () => this.#established },
      {
        payload: (type, payload) => this.#payload(type, payload),
        acknowledged: () => {
          this.#handshake.acknowledged();
          this.#trial?.acknowledged();
        },
        judged: (verdict, before) => this.#judged(verdict, before),
        behindChanged: options.onChange,
        hopeless: () => this.#end(tooFarBehind(options)),
        down: (why) => this.#down(why),
        channelClosed: (output) => this.#endedByService(closedReason(output, options)),
        gone: () => this.#endedByService(closedReason('', options)),
        over: (error) => this.#end(error),
      },
    );
    this.#handshake = new ChannelHandshake({
      ...options,
      link: this.#transport,
      onComplete: (agent) => this.#complete(agent),
    });
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

  /** True if the agent is silent or far behind, takes no new stream or hangs while it connects: new streams should go elsewhere. */
  get suspect(): boolean {
    const { connectHangs = false, openingStuck = false } = this.#established?.multiplexer ?? {};
    const { verdict, behind } = this.#transport;
    return verdict !== 'alive' || behind || connectHangs || openingStuck;
  }

  /** True if the agent lives but hangs while it connects to the destination. */
  get connectHangs(): boolean {
    const { verdict, behind, acknowledgedAt, outstanding } = this.#transport;
    // Behind a gap its answer may be here already.
    if (verdict !== 'alive' || behind || this.#established?.multiplexer.connectHangs !== true) return false;
    // If messages of ours wait as well, the agent is more likely silent.
    return !outstanding || this.#options.clock.now() - acknowledgedAt < probeMs + 500;
  }

  /** How the service ended the channel although its agent lived; undefined before that, and after any other end. */
  get expiry(): Expiry | undefined {
    return this.#expiry;
  }

  get ageMs(): number {
    return this.#options.clock.now() - this.#openedAt;
  }

  /** True if the channel may have ended because messages were larger than the agent accepts. */
  get diedOfLargePayloads(): boolean {
    return this.#diedOfLargePayloads;
  }

  /**
   * Whether one message of 16 KiB is carried; asked while there is no stream. If it is not, the channel has ended. @throws TunnelError if the
   * channel ended for another reason, or the signal's reason.
   */
  async takesLargeMessages(signal: AbortSignal): Promise<boolean> {
    this.signal.throwIfAborted();
    const trial = new LargeTrial();
    this.#trial = trial;
    try {
      const taken = await trial.run(this.#transport, this.multiplexer, { clock: this.#options.clock, signal });
      if (!taken) this.#end(new TunnelError('BastionLost', 'the session did not carry a message of 16 KiB'));
      return taken;
    } finally {
      this.#trial = undefined;
    }
  }

  /** Leaves the socket and resumes the channel, as after the service's hourly close. @throws TunnelError if the channel ended instead. */
  async renewSocket(): Promise<void> {
    await this.#transport.renew('the socket is renewed');
    this.signal.throwIfAborted();
  }

  /** Another session of the same node was opened: an agent that stays silent here will not come back. */
  nodeAnswered(): void {
    this.#transport.nodeAnswered();
  }

  /** Ends the channel at both ends and every stream. Resolves when nothing is left of it here; never rejects. */
  async close(): Promise<void> {
    const closed = new TunnelError('NotConnected', 'the session was closed');
    if (!this.#termination.over) await this.#goodbye(closed);
    this.#end(closed);
    await this.#transport.close();
    await this.#termination.reported();
  }

  // --- what the transport reports ---

  #down(why: string): boolean {
    // On the next socket the same message would be repeated.
    this.#trial?.lost();
    if (this.#established !== undefined) return this.#trial === undefined;
    this.#handshake.fail(
      new TunnelError(
        'SessionRefused',
        `the data channel to ${this.#options.target} was closed during the handshake (${why}): look at the log of the SSM agent there`,
      ),
    );
    return false;
  }

  #payload(type: number, payload: Buffer): void {
    if (this.#termination.over) return;
    const established = this.#established;
    if (established === undefined) {
      this.#handshake.receive(type, payload);
      this.#transport.wake();
    } else if (type === payloadType.output) {
      try {
        established.multiplexer.receive(payload);
      } catch (cause) {
        const sentence = `the SSM agent on ${this.#options.target} broke the protocol of the session: update or restart it`;
        this.#end(new TunnelError('BastionLost', sentence, { cause }));
      }
    } else if (type === payloadType.flag && parseFlag(payload) === flag.connectToPortError) {
      established.multiplexer.connectFailed();
    }
  }

  #judged(verdict: AgentVerdict, before: AgentVerdict): void {
    if (verdict === 'ended') {
      const seconds = Math.round((this.#options.clock.now() - this.#transport.acknowledgedAt) / 1_000);
      this.#end(
        new TunnelError(
          'BastionLost',
          `the SSM agent on ${this.#options.target} acknowledged nothing for ${seconds} s`,
        ),
      );
      return;
    }
    if (verdict === 'suspect' && before === 'alive')
      void this.#transport.renew('the agent acknowledged nothing for 8 s');
    if (verdict === 'resume') void this.#transport.renew('the agent acknowledged nothing for 25 s');
    if ((before === 'alive') !== (verdict === 'alive')) this.#options.onChange();
  }

  // --- what follows from the handshake ---

  #complete(agent: AgentFacts): StreamMultiplexer {
    const { clock, budget, destination, onChange } = this.#options;
    const options = {
      channel: this.#transport,
      destination,
      clock,
      budget,
      onChange: () => {
        this.#watchAgent();
        onChange();
      },
    };
    const multiplexer = agent.multiplexes ? new SmuxMultiplexer(options) : new SingleStreamMultiplexer(options);
    this.#established = { agent, multiplexer };
    if (!agent.acknowledgesAgain) this.#transport.acknowledgesOnce(agent.multiplexes);
    this.#watchAgent();
    return multiplexer;
  }

  /** An idle agent is probed only if the tunnel is persistent, or if the agent would otherwise end the session. */
  #watchAgent(): void {
    const established = this.#established;
    if (established === undefined || this.#termination.over || !established.agent.multiplexes) return;
    const { agent, multiplexer } = established;
    const watched = this.#options.watchIdle || multiplexer.streams > 0;
    this.#transport.probeEvery(watched ? probeMs : agent.needsKeepAlive ? keepAliveMs : undefined);
  }

  #use(): Established {
    if (this.#established === undefined) throw new Error('the handshake is not over');
    return this.#established;
  }

  // --- the end ---

  async #goodbye(reason: TunnelError): Promise<void> {
    this.#termination.announce(reason);
    this.#established?.multiplexer.end(reason);
    if (this.#established === undefined || !this.#transport.connected) return;
    this.#transport.sendNow({ type: payloadType.flag, payload: encodeFlag(flag.terminateSession) });
    this.#transport.wake();
    await this.#termination.goodbye();
  }

  #endedByService(error: TunnelError): void {
    if (this.#termination.over) return;
    const { verdict, sentAt } = this.#transport;
    if (verdict === 'alive' && error.code === 'BastionLost' && !this.signal.aborted) {
      this.#expiry = { ageMs: this.ageMs, idleMs: this.#options.clock.now() - sentAt };
    }
    this.#end(error, { serviceKnows: true });
  }

  #end(error: TunnelError, { serviceKnows = false } = {}): void {
    if (this.#termination.over) return;
    const { largeSince, acknowledgedAt } = this.#transport;
    this.#diedOfLargePayloads =
      largeSince !== undefined && acknowledgedAt - largeSince < probationMs && error.code === 'BastionLost';
    this.#transport.stop();
    this.#termination.announce(error);
    this.#handshake.fail(error);
    this.#trial?.lost(error);
    this.#established?.multiplexer.end(error);
    void this.#transport.close();
    this.#termination.complete(serviceKnows);
    this.#options.onChange();
  }
}
