// One Session Manager session as an ordered byte channel that outlives its web sockets: handshake first, then streams; resumed when a
// socket is gone or the agent silent; ended when nothing will come any more. All events come together in #turn, which sends what is
// waiting, judges the agent and plans the next turn.
// Neighbours: sockets.ts (one after the other), message-link.ts (messages in order), handshake.ts, liveness.ts, port-session.ts (what is carried).
import { TunnelError } from '../../../contract/errors.ts';
import type { ByteBudget } from '../../byte-budget.ts';
import type { ChannelTicket } from './api.ts';
import { closedReason } from './closed-reason.ts';
import { type AgentFacts, Handshake } from './handshake.ts';
import { KEEP_ALIVE_MS, Liveness, PROBE_MS, type Verdict } from './liveness.ts';
import { MessageLink, type Outgoing } from './message-link.ts';
import { Opening, type OpeningOptions } from './opening.ts';
import { encodeFlag, flag, parseFlag, payloadType } from './payload.ts';
import type { ByteChannel, PortSession } from './port-session.ts';
import { SingleSession } from './single.ts';
import { SmuxSession } from './smux/session.ts';
import { Sockets } from './sockets.ts';

/** The agent waits 15 s for its answer; this is ours for the whole handshake. */
const HANDSHAKE_MS = 20_000;
/** How long a goodbye may take: the agent drains up to 2 s. */
const GOODBYE_MS = 3_000;
const TERMINATE_MS = 5_000;
const SMALL_PAYLOAD = 1_024;
const LARGE_PAYLOAD = 16_384;
/** A session that dies this soon after its first large message is held to have died of it. */
const LARGE_PROBATION_MS = 60_000;

export interface DataChannelOptions extends OpeningOptions {
  readonly ticket: ChannelTicket;
  readonly remoteHost: boolean;
  /** Whether agents that are known to take them get messages of 16 KiB. */
  readonly largePayloads: boolean;
  /** Whether an idle agent is asked for life. */
  readonly watchIdle: boolean;
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
  /** `suspect`, `hasRoom` or `streams` may have changed. */
  readonly onChange: () => void;
}

/** What there is once the handshake is over. */
interface Established {
  readonly agent: AgentFacts;
  readonly port: PortSession;
}

export class DataChannel implements ByteChannel {
  readonly #options: DataChannelOptions;
  readonly #sockets: Sockets;
  readonly #link: MessageLink;
  readonly #handshake: Handshake;
  readonly #liveness: Liveness;
  /** Nothing will come any more: told before the streams end. */
  readonly #lost = new AbortController();
  readonly #flags: number[] = [];
  readonly #scratch = Buffer.allocUnsafe(LARGE_PAYLOAD);
  #established: Established | undefined;
  /** Whether the agent has answered what only a working port session answers. */
  #proof: (() => boolean) | undefined;
  /** Settles the opening; undefined once that is done. */
  #settle: ((error?: unknown) => void) | undefined;
  /** Everything is given up; follows `#lost`, at once unless we say goodbye. */
  #over = false;
  #onOver: (() => void) | undefined;
  #verdict: Verdict = 'alive';
  #paused = false;
  #deafUntil = 0;
  #turnPlanned = false;
  #cancelTimer: (() => void) | undefined;
  #largeSince: number | undefined;
  #largeFatal = false;
  #closedByService = false;
  #terminated: Promise<void> | undefined;

  /** Opens the channel of a session that was just started, up to the end of the handshake. @throws TunnelError, or the signal's reason. */
  static async open(options: DataChannelOptions, signal: AbortSignal): Promise<DataChannel> {
    const channel = new DataChannel(options);
    try {
      await channel.#open(signal);
      return channel;
    } catch (error) {
      channel.#end(error instanceof TunnelError ? error : new TunnelError('NotConnected', 'the attempt was given up'));
      await channel.close();
      throw error;
    }
  }

  private constructor(options: DataChannelOptions) {
    this.#options = options;
    this.#handshake = new Handshake(options);
    this.#liveness = new Liveness(options.clock.now());
    this.#link = new MessageLink(options, {
      deliver: (type, payload) => this.#payload(type, payload),
      heard: () => {
        this.#liveness.progress(this.#now());
        // No turn for each kilobyte of a download: the one that is planned sees it.
        if (this.#verdict !== 'alive') this.wake();
      },
      acknowledged: () => {
        this.#liveness.progress(this.#now());
        this.wake();
        if (this.#proof?.() !== true) return;
        this.#proof = undefined;
        this.#settle?.();
      },
      channelClosed: (output) => {
        this.#closedByService = true;
        this.#end(closedReason(output));
      },
    });
    this.#sockets = new Sockets(
      { ...options, opening: new Opening(options, options.ticket) },
      {
        up: (socket) => {
          this.#deafUntil = this.#now();
          if (this.#paused) socket.pause();
          this.#link.attach(socket);
          this.#liveness.connected(this.#now(), true);
          this.wake();
        },
        message: (bytes) => this.#link.receive(bytes),
        drained: () => {
          if (this.#wanting) this.wake();
        },
        down: (why) => this.#down(why),
        over: (error) => this.#end(error),
      },
    );
  }

  /** Aborts, with a TunnelError, once nothing will come any more, and before the streams end. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get sessionId(): string {
    return this.#options.ticket.sessionId;
  }

  get agent(): AgentFacts {
    return this.#use().agent;
  }

  /** The streams. */
  get port(): PortSession {
    return this.#use().port;
  }

  /** The agent is silent, or hangs in connecting: new streams should go elsewhere. */
  get suspect(): boolean {
    return this.#verdict !== 'alive' || this.#established?.port.stuck === true;
  }

  /** True when the end may have come of messages larger than the agent takes. */
  get diedOfLargePayloads(): boolean {
    return this.#largeFatal;
  }

  /** Leaves the socket and resumes the session, as after the service's hourly close. @throws TunnelError if the session ended instead. */
  async renewSocket(): Promise<void> {
    await this.#renew('the socket is renewed');
    this.#lost.signal.throwIfAborted();
  }

  /** Ends the session at both ends and every stream. Resolves when nothing is left of it here; never rejects. */
  async close(): Promise<void> {
    const closed = new TunnelError('NotConnected', 'the session was closed');
    if (!this.#over) await this.#goodbye(closed);
    this.#end(closed);
    await this.#sockets.close();
    await this.#terminated;
  }

  // --- what the port session asks for ---

  get deaf(): boolean {
    return this.#paused || this.#link.socket === undefined;
  }

  get deafUntil(): number {
    return this.#deafUntil;
  }

  mark(): () => boolean {
    return this.#link.mark();
  }

  wake(): void {
    if (this.#turnPlanned || this.#over) return;
    this.#turnPlanned = true;
    setImmediate(() => {
      this.#turnPlanned = false;
      this.#turn();
    });
  }

  pauseReading(): void {
    this.#paused = true;
    this.#liveness.paused(this.#now());
    this.#link.socket?.pause();
  }

  resumeReading(): void {
    this.#paused = false;
    this.#deafUntil = this.#now();
    this.#liveness.resumed(this.#now());
    this.#link.socket?.resume();
    this.wake();
  }

  sendFlag(value: number): void {
    this.#flags.push(value);
    this.wake();
  }

  // --- sockets ---

  async #open(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const settled = new Promise<void>((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // It may fail before it is awaited below.
    settled.catch(() => undefined);
    const giveUp = new AbortController();
    const abort = (): void => {
      giveUp.abort(signal.reason);
      this.#settle?.(signal.reason);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    const cancel = clock.after(HANDSHAKE_MS, () =>
      this.#settle?.(
        new TunnelError('SessionRefused', 'the agent on the instance did not complete the handshake in 20 s'),
      ),
    );
    try {
      await this.#sockets.open(giveUp.signal);
      await settled;
    } finally {
      cancel();
      signal.removeEventListener('abort', abort);
      this.#settle = undefined;
    }
  }

  #down(why: string): boolean {
    this.#link.detach();
    this.#liveness.connected(this.#now(), false);
    if (this.#established !== undefined) return true;
    this.#settle?.(new TunnelError('SessionRefused', `the data channel was closed during the handshake: ${why}`));
    return false;
  }

  async #renew(why: string): Promise<void> {
    this.#link.detach();
    this.#liveness.connected(this.#now(), false);
    this.wake();
    await this.#sockets.renew(why);
  }

  // --- what the agent says ---

  #payload(type: number, payload: Buffer): void {
    if (this.#over) return;
    const established = this.#established;
    if (established === undefined) this.#handshakePayload(type, payload);
    else if (type === payloadType.output) {
      try {
        established.port.receive(payload);
      } catch (cause) {
        this.#end(new TunnelError('BastionLost', 'the agent broke the protocol of the session', { cause }));
      }
    } else if (type === payloadType.flag && parseFlag(payload) === flag.connectToPortError)
      established.port.connectFailed();
  }

  #handshakePayload(type: number, payload: Buffer): void {
    const step = this.#handshake.receive(type, payload);
    switch (step.kind) {
      case 'nothing':
        return;
      case 'answer':
        return this.#sendNow({ type: payloadType.handshakeResponse, payload: step.payload });
      case 'refused':
        if (step.payload !== undefined) this.#sendNow({ type: payloadType.handshakeResponse, payload: step.payload });
        this.#settle?.(step.error);
        return;
      case 'complete':
        this.#established = { agent: step.agent, port: this.#newPort(step.agent) };
        this.#watchAgent();
        this.#prove(this.#established.port);
    }
  }

  /** The agent answers nothing until it has set up the forwarding, or failed to: only then is the channel open. */
  #prove(port: PortSession): void {
    if (!port.nop()) {
      this.#settle?.();
      return;
    }
    const length = port.fill(this.#scratch);
    this.#sendNow({ type: payloadType.output, payload: this.#scratch.subarray(0, length) });
    this.#proof = this.#link.mark();
  }

  #newPort(agent: AgentFacts): PortSession {
    const { clock, budget, onChange } = this.#options;
    const options = {
      channel: this,
      clock,
      budget,
      onChange: () => {
        this.#watchAgent();
        onChange();
      },
    };
    return agent.multiplexes ? new SmuxSession(options) : new SingleSession(options);
  }

  /** An idle agent is asked for life only where somebody wants to know, or it would end the session. */
  #watchAgent(): void {
    const established = this.#established;
    if (established === undefined || this.#over || !established.agent.multiplexes) return;
    const { agent, port } = established;
    const watched = this.#options.watchIdle || port.streams > 0;
    this.#liveness.probeEvery(this.#now(), watched ? PROBE_MS : agent.needsKeepAlive ? KEEP_ALIVE_MS : undefined);
    this.wake();
  }

  // --- the turn ---

  #turn(): void {
    if (this.#over) return;
    const now = this.#now();
    this.#link.transmit(now, () => this.#next(now));
    this.#liveness.outstanding(now, this.#link.outstanding);
    const { verdict, probe, at } = this.#liveness.judge(now);
    this.#judged(verdict);
    if (this.#over) return;
    // Its NOP wakes us again.
    if (probe && this.#established?.port.nop() === true) return;
    const next = Math.min(this.#link.transmitAt(now, this.#wanting) ?? Infinity, at ?? Infinity);
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    // By way of wake: what has arrived meanwhile is read before anything is called lost or anyone dead.
    if (next !== Infinity) this.#cancelTimer = this.#options.clock.after(Math.max(0, next - now), () => this.wake());
  }

  #judged(verdict: Verdict): void {
    const before = this.#verdict;
    if (verdict === before) return;
    this.#verdict = verdict;
    if (verdict === 'ended') {
      this.#end(new TunnelError('BastionLost', 'the agent on the instance gave no sign of life for 75 s'));
      return;
    }
    if (verdict === 'resume') void this.#renew('the agent gave no sign of life for 25 s');
    if ((before === 'alive') !== (verdict === 'alive')) this.#options.onChange();
  }

  get #wanting(): boolean {
    return this.#flags.length > 0 || this.#established?.port.pending === true;
  }

  /** The next message, if there is anything to say. */
  #next(now: number): Outgoing | undefined {
    const value = this.#flags.shift();
    if (value !== undefined) return { type: payloadType.flag, payload: encodeFlag(value) };
    const established = this.#established;
    if (established === undefined || !established.port.pending) return undefined;
    const limit = this.#options.largePayloads ? established.agent.payloadBytes : SMALL_PAYLOAD;
    const length = established.port.fill(this.#scratch.subarray(0, limit));
    if (length === 0) return undefined;
    if (length > SMALL_PAYLOAD) this.#largeSince ??= now;
    return { type: payloadType.output, payload: this.#scratch.subarray(0, length) };
  }

  #sendNow(outgoing: Outgoing): void {
    this.#link.sendNow(outgoing);
    this.wake();
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #use(): Established {
    if (this.#established === undefined) throw new Error('the handshake is not over');
    return this.#established;
  }

  // --- the end ---

  async #goodbye(reason: TunnelError): Promise<void> {
    this.#lost.abort(reason);
    this.#established?.port.end(reason);
    if (this.#established === undefined || this.#link.socket === undefined) return;
    this.#sendNow({ type: payloadType.flag, payload: encodeFlag(flag.terminateSession) });
    // Over when the service closes the channel, which it does once the agent has ended its side.
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(GOODBYE_MS, resolve);
      this.#onOver = () => {
        cancel();
        resolve();
      };
    });
  }

  #end(error: TunnelError): void {
    if (this.#over) return;
    this.#over = true;
    const { api, log, onChange } = this.#options;
    const large = this.#largeSince;
    this.#largeFatal = large !== undefined && this.#now() - large < LARGE_PROBATION_MS && error.code === 'BastionLost';
    this.#cancelTimer?.();
    this.#lost.abort(error);
    this.#settle?.(error);
    this.#established?.port.end(error);
    this.#link.detach();
    void this.#sockets.close();
    if (!this.#closedByService) {
      // Else it stays in the account's list, and on the instance, until its idle timeout.
      this.#terminated = api
        .terminateSession(this.sessionId, AbortSignal.timeout(TERMINATE_MS))
        .catch((cause: unknown) =>
          log.debug({ sessionId: this.sessionId, error: cause }, 'the session could not be ended'),
        );
    }
    this.#onOver?.();
    onChange();
  }
}
