// The bytes of one data channel over all its web sockets: sends what the multiplexer has, hands on what the agent says, resumes on the next
// socket. It knows neither handshake nor reasons. Neighbours: reconnecting-socket.ts (one socket after the other), message-link.ts (messages
// in order), outbox.ts (what to send), send-loop.ts (when to act); data-channel.ts owns it.
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { ChannelTicket } from '../aws/api.ts';
import type { ByteChannel } from '../base/byte-channel.ts';
import type { AgentVerdict } from './agent-silence.ts';
import { type LinkEvents, MessageLink, type Outgoing } from './message-link.ts';
import { Outbox, type OutboxOptions } from './outbox.ts';
import { payloadType } from './payload.ts';
import { ReconnectingSocket, type ReconnectingSocketEvents } from './reconnecting-socket.ts';
import { SendLoop } from './send-loop.ts';
import { SocketOpener, type SocketOpenerOptions } from './socket-opener.ts';

/** Room for one NOP and nothing else. */
const nopBytes = 8;

export interface ChannelTransportOptions extends SocketOpenerOptions, OutboxOptions {
  readonly ticket: ChannelTicket;
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
}

export interface ChannelTransportEvents
  extends Pick<ReconnectingSocketEvents, 'down' | 'gone' | 'over'>,
    Pick<LinkEvents, 'behindChanged' | 'hopeless'> {
  /** The next payload of the agent. */
  payload(type: number, payload: Buffer): void;
  /** The agent acknowledged something outstanding. */
  acknowledged(): void;
  /** The service closed the channel for good. */
  channelClosed(output: string): void;
  /** The verdict on the agent has changed from `before`. */
  judged(verdict: AgentVerdict, before: AgentVerdict): void;
}

export class ChannelTransport implements ByteChannel {
  readonly #socket: ReconnectingSocket;
  readonly #link: MessageLink;
  readonly #sendLoop: SendLoop;
  readonly #outbox: Outbox;

  constructor(options: ChannelTransportOptions, events: ChannelTransportEvents) {
    const outbox = new Outbox(options);
    const link = new MessageLink(options, {
      deliver: (type, payload) => events.payload(type, payload),
      heard: () => this.#sendLoop.heard(),
      acknowledged: () => {
        this.#sendLoop.acknowledged();
        events.acknowledged();
      },
      behindChanged: () => events.behindChanged(),
      hopeless: () => events.hopeless(),
      channelClosed: (output) => events.channelClosed(output),
    });
    this.#outbox = outbox;
    this.#link = link;
    this.#sendLoop = new SendLoop({
      clock: options.clock,
      link,
      hasOutput: () => outbox.pending,
      next: (now) => outbox.next(now),
      probe: () => {
        const multiplexer = options.established()?.multiplexer;
        if (multiplexer?.nop() !== true) return false;
        // Also while the window is full of messages whose acknowledgements were lost.
        if (!link.full) return true;
        const nop = Buffer.alloc(nopBytes);
        link.sendNow({ type: payloadType.output, payload: nop.subarray(0, multiplexer.fill(nop)) });
        return true;
      },
      onVerdict: (verdict, before) => events.judged(verdict, before),
    });
    this.#socket = new ReconnectingSocket(
      { ...options, opener: new SocketOpener(options, options.ticket) },
      {
        up: (socket) => this.#sendLoop.attach(socket),
        message: (bytes) => link.receive(bytes),
        drained: () => {
          if (outbox.pending || link.outstanding) this.wake();
        },
        down: (why) => {
          this.#sendLoop.detach();
          return events.down(why);
        },
        gone: () => events.gone(),
        over: (error) => events.over(error),
      },
    );
  }

  /** Opens the first socket. @throws TunnelError, or the signal's reason. */
  async open(signal: AbortSignal): Promise<void> {
    await this.#socket.open(signal);
  }

  /** Leaves the socket and resumes on the next. Resolves when there is one, or there will be none; never rejects. */
  async renew(why: string): Promise<void> {
    this.#sendLoop.detach();
    await this.#socket.renew(why);
  }

  /** Sends nothing more, and counts nothing against the budget any more. */
  stop(): void {
    this.#sendLoop.stop();
  }

  /** Closes the socket and opens no other. Resolves when none is left; never rejects. */
  async close(): Promise<void> {
    await this.#socket.close();
  }

  /** Sends a control message at once. */
  sendNow(message: Outgoing): void {
    this.#link.sendNow(message);
  }

  /** How often an idle agent is probed, in milliseconds; undefined: never. */
  probeEvery(ms: number | undefined): void {
    this.#sendLoop.probeEvery(ms);
  }

  /** Another session of the same node was opened: an agent that stays silent here will not come back. */
  nodeAnswered(): void {
    this.#sendLoop.nodeAnswered();
  }

  get verdict(): AgentVerdict {
    return this.#sendLoop.verdict;
  }

  /** When the agent last acknowledged something of ours, in milliseconds of the clock. */
  get acknowledgedAt(): number {
    return this.#sendLoop.acknowledgedAt;
  }

  /** The agent acknowledges each message only once. `answersNops`: it can be asked. */
  acknowledgesOnce(answersNops: boolean): void {
    this.#sendLoop.acknowledgesOnce(answersNops);
  }

  /** When the last new message of ours was made, in milliseconds of the clock. */
  get sentAt(): number {
    return this.#link.sentAt;
  }

  /** True while messages of ours wait for their acknowledgement. */
  get outstanding(): boolean {
    return this.#link.outstanding;
  }

  /** True while the agent's answers arrive seconds late, because it repeats what was lost. */
  get behind(): boolean {
    return this.#link.behind;
  }

  get connected(): boolean {
    return this.#link.socket !== undefined;
  }

  /** When the first message larger than 1 KiB was sent; undefined: none. */
  get largeSince(): number | undefined {
    return this.#outbox.largeSince;
  }

  // --- what the multiplexer asks for ---

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
}
