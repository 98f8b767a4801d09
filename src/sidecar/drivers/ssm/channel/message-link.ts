// Messages over the present socket, if any: reads and writes the binary form, keeps numbering and repetition across sockets, hands on what
// arrived in order and acknowledges it. It has no timers: send-loop.ts calls `transmit` and asks when to call again.
// Neighbours: message.ts, reliable.ts (what it joins), web-socket.ts (the socket), channel-transport.ts (the owner).
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../../process/clock.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import { decodeMessage, encodeMessage, type Message, messageType } from './message.ts';
import { acknowledgement, parseAcknowledgement, parseChannelClosed } from './payload.ts';
import { ReliableReceiver, ReliableSender } from './reliable.ts';
import type { DataSocket } from './web-socket.ts';

/** No new messages are made while this much waits for the kernel, in bytes. */
const socketBusy = 256 * 1024;
/** From this on acknowledgements are not sent either: the agent repeats, and gets them then. */
const socketFull = 1024 * 1024;
const acknowledgeFlags = 3;
/** So long a message waits at most for a gap to be filled before new streams should go elsewhere, in milliseconds. */
const behindMs = 3_000;
/** And so long, once there was no room for more: an agent that goes on sending never catches up then. */
const hopelessMs = 75_000;
/** While the pod's byte budget is used up, no more than this may be unacknowledged, in bytes. */
const scarceBytes = 64 * 1024;

/** A stream message of ours, before it has a number. */
export interface Outgoing {
  readonly type: number;
  readonly payload: Buffer;
}

export interface LinkOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Counts what is kept until it is acknowledged, and what waits for a gap to be filled. */
  readonly budget: Pick<ByteBudget, 'take' | 'giveBack' | 'free'>;
}

export interface LinkEvents {
  /** The next payload of the agent. */
  deliver(type: number, payload: Buffer): void;
  /** The agent sent something: it is there, but perhaps it takes nothing of ours. */
  heard(): void;
  /** The agent acknowledged something outstanding: it lives, and there may be room for more. */
  acknowledged(): void;
  /** `behind` has changed. */
  behindChanged(): void;
  /** The agent loses more than it repeats: what it sends will never be here. */
  hopeless(): void;
  /** The service closed the channel for good. */
  channelClosed(output: string): void;
}

export class MessageLink {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #budget: LinkOptions['budget'];
  readonly #events: LinkEvents;
  readonly #sender = new ReliableSender();
  readonly #receiver = new ReliableReceiver();
  #socket: DataSocket | undefined;
  #paused = false;
  #inputPausedUntil = 0;
  #sentAt: number;
  #behind = false;
  #counted = 0;
  #closed = false;
  /** The service says on this socket that the agent has no connection. */
  #agentAway = false;

  constructor({ clock, log, budget }: LinkOptions, events: LinkEvents) {
    this.#clock = clock;
    this.#log = log;
    this.#budget = budget;
    this.#events = events;
    this.#sentAt = clock.now();
  }

  /** When the last new message of ours was made, in milliseconds of the clock. */
  get sentAt(): number {
    return this.#sentAt;
  }

  get socket(): DataSocket | undefined {
    return this.#socket;
  }

  get outstanding(): boolean {
    return this.#sender.outstanding > 0;
  }

  /** The same for what was first sent on the present socket. */
  get outstandingHere(): boolean {
    return this.#sender.outstandingHere > 0;
  }

  /** True if no further message may be sent before an acknowledgement. */
  get full(): boolean {
    return this.#sender.full;
  }

  /** True if the agent may be alive and merely blocked by a destination that takes nothing: much of ours waits, and it is not known to be gone. */
  get mayBeBlocked(): boolean {
    return this.#sender.full && !this.#agentAway;
  }

  /** The agent acknowledges each message only once: what overtook a message often enough stands for its acknowledgement. */
  acknowledgesOnce(): void {
    this.#sender.acknowledgesOnce = true;
  }

  /** Marks what was sent until now; the function returns whether the agent has all of it. */
  mark(): () => boolean {
    return this.#sender.mark();
  }

  /** True while nothing of the agent can arrive: there is no socket, or reading is paused. */
  get inputPaused(): boolean {
    return this.#paused || this.#socket === undefined;
  }

  /** When it was last inputPaused, in milliseconds of the clock. */
  get inputPausedUntil(): number {
    return this.#inputPausedUntil;
  }

  /**
   * True if messages have waited 3 s for a gap to be filled. The agent sends on while it has no connection of its own, and repeats only its oldest
   * message, every 100 ms: after 4 s of a download the gap is filled after minutes, and so long every answer on this channel waits.
   */
  get behind(): boolean {
    return this.#behind;
  }

  /** Stops reading, from this socket and the next; the only way to slow the agent down. */
  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#inputPausedUntil = this.#clock.now();
    this.#socket?.resume();
  }

  /** The next socket: what was not acknowledged on the last one is sent first. */
  attach(socket: DataSocket): void {
    this.#socket = socket;
    this.#agentAway = false;
    this.#inputPausedUntil = this.#clock.now();
    if (this.#paused) socket.pause();
    this.#sender.connected();
  }

  detach(): void {
    this.#socket = undefined;
    this.#sender.disconnected();
  }

  /** Nothing will be sent or received any more: gives back what was counted. */
  close(): void {
    this.detach();
    this.#closed = true;
    this.#count();
  }

  /** Takes one message of the socket. */
  receive(bytes: Buffer): void {
    const message = decodeMessage(bytes);
    if (typeof message === 'string') {
      this.#log.debug({ malformed: message, bytes: bytes.length }, 'a message was dropped');
      return;
    }
    switch (message.messageType) {
      case messageType.output:
        return this.#output(message);
      case messageType.acknowledge: {
        const sequence = parseAcknowledgement(message.payload);
        if (sequence === undefined || !this.#sender.acknowledged(sequence, this.#clock.now())) return;
        this.#count();
        return this.#events.acknowledged();
      }
      case messageType.channelClosed:
        return this.#events.channelClosed(parseChannelClosed(message.payload));
      case messageType.pausePublication:
      case messageType.startPublication:
        // About the agent's socket. Whether it lives is judged by what arrives; this only says how long to wait for that.
        this.#agentAway = message.messageType === messageType.pausePublication;
        return;
      default:
        this.#log.debug({ type: message.messageType }, 'a message of an unused type was ignored');
    }
  }

  /** Sends a control message at once, without regard to window and pace. */
  sendNow({ type, payload }: Outgoing): void {
    this.#socket?.send(this.#number({ type, payload }, this.#clock.now()));
  }

  /** Repeats what is lost, then sends what `next` gives as long as window, pace and socket allow. */
  transmit(now: number, next: () => Outgoing | undefined): void {
    const socket = this.#socket;
    if (socket === undefined || this.#busy) return;
    for (const frame of this.#sender.repetitions(now)) socket.send(frame);
    while (!this.#busy && !this.#scarce && this.#sender.ready(now)) {
      const outgoing = next();
      if (outgoing === undefined) return;
      socket.send(this.#number(outgoing, now));
    }
  }

  /** When to call `transmit` again; undefined: after an event (an acknowledgement, a drained socket, a new socket). */
  transmitAt(now: number, wanting: boolean): number | undefined {
    return this.#busy ? undefined : this.#sender.wakeAt(now, wanting && !this.#scarce);
  }

  get #busy(): boolean {
    return (this.#socket?.buffered ?? 0) >= socketBusy;
  }

  #output(message: Message): void {
    this.#events.heard();
    const now = this.#clock.now();
    const { acknowledge, deliver } = this.#receiver.receive(message, now);
    this.#count();
    this.#judgeGap(now);
    for (const { payloadType, payload } of deliver) this.#events.deliver(payloadType, payload);
    // Delivery may have ended the channel.
    const socket = this.#socket;
    if (!acknowledge || socket === undefined || socket.buffered >= socketFull) return;
    socket.send(
      this.#encode(messageType.acknowledge, 0, { type: 0, payload: acknowledgement(message) }, acknowledgeFlags),
    );
  }

  /** Looked at when something arrives: if nothing does, the agent is silent, or we do not read. */
  #judgeGap(now: number): void {
    const { heldSince = Number.POSITIVE_INFINITY } = this.#receiver;
    const waitedMs = now - Math.max(heldSince, this.#inputPausedUntil);
    if (this.#receiver.overflowed && waitedMs >= hopelessMs) return this.#events.hopeless();
    const behind = waitedMs >= behindMs;
    if (behind === this.#behind) return;
    this.#behind = behind;
    if (behind) this.#log.info('the agent repeats what was lost, slowly: new connections use another session');
    this.#events.behindChanged();
  }

  get #scarce(): boolean {
    return this.#budget.free === 0 && this.#sender.outstandingBytes >= scarceBytes;
  }

  #count(): void {
    const held = this.#closed ? 0 : this.#sender.outstandingBytes + this.#receiver.heldBytes;
    this.#budget.take(held - this.#counted);
    this.#counted = held;
  }

  #number(outgoing: Outgoing, now: number): Buffer {
    this.#sentAt = now;
    const frame = this.#sender.send((sequence) => this.#encode(messageType.input, sequence, outgoing, 0), now);
    this.#count();
    return frame;
  }

  #encode(type: string, sequenceNumber: number, { type: payloadType, payload }: Outgoing, flags: number): Buffer {
    return encodeMessage({
      messageType: type,
      sequenceNumber,
      flags,
      createdDate: Date.now(),
      messageId: randomUUID(),
      payloadType,
      payload,
    });
  }
}
