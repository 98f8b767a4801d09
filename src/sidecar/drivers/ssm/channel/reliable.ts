// Delivery exactly once and in order over a relay that may lose, duplicate or reorder: numbering, acknowledgement, repetition, window, pace.
// State machines fed with (event, now) that answer with what to transmit or deliver: no I/O, no timers, no clock of their own.
// Neighbours: message.ts (the bytes), round-trip.ts (when to repeat), message-link.ts (feeds both).
import type { Message } from './message.ts';
import { RoundTrip } from './round-trip.ts';

/** Messages per second: the service closes a socket that sends over 1,000 for 2 s (observed by third parties). */
const messagesPerSecond = 900;
const maxBurst = 50;
const windowMinMessages = 64;
const windowMaxMessages = 2_048;
const windowMaxBytes = 4 * 1024 * 1024;
const reorderMinMs = 20;
/**
 * An agent that acknowledges each message only once has a message for certain if it was sent so often before something that arrived: the relay keeps
 * order, so only the acknowledgement was lost.
 */
const certainlyArrived = 3;

interface Outstanding {
  readonly frame: Buffer;
  sentAt: number;
  repeats: number;
  /** Must be sent again. */
  lost: boolean;
  /** How many of its sendings were clearly before something that arrived. */
  overtaken: number;
  /** First sent on a socket that is lost: its acknowledgement may be lost with it. */
  carriedOver: boolean;
}

/**
 * Our direction. Every message keeps its number and bytes until it is acknowledged. At most 2,048 messages and 4 MiB are kept (no more
 * than twice what the path holds); this window holds back a sender whose destination is slow.
 * A message is repeated when later ones were acknowledged and it was not, and the oldest also when its acknowledgement is overdue.
 */
export class ReliableSender {
  readonly roundTrip = new RoundTrip();
  /** The agent acknowledges each message only once, so a lost acknowledgement never comes again. */
  acknowledgesOnce = false;
  /** In the order of their numbers. */
  readonly #outstanding = new Map<number, Outstanding>();
  #bytes = 0;
  #lost = 0;
  #carriedOver = 0;
  #nextSequence = 0;
  #connected = false;
  /** When the latest message that has arrived for certain was sent. */
  #arrivedSentAt = Number.NEGATIVE_INFINITY;
  #tokens = maxBurst;
  #tokensAt = 0;

  /** Messages sent and not acknowledged. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** Those that were first sent on the present socket. */
  get outstandingHere(): number {
    return this.#outstanding.size - this.#carriedOver;
  }

  /** True if no further message may be sent before an acknowledgement: the agent takes nothing, or the path is full. */
  get full(): boolean {
    return !this.#windowOpen();
  }

  get outstandingBytes(): number {
    return this.#bytes;
  }

  /** Marks what was sent until now; the function returns whether all of it has been acknowledged. */
  mark(): () => boolean {
    const next = this.#nextSequence;
    return () => {
      const [oldest] = this.#outstanding.keys();
      return oldest === undefined || oldest >= next;
    };
  }

  /** There is a socket: everything outstanding will be repeated on it, the oldest first, and new messages follow. */
  connected(): void {
    this.#connected = true;
    for (const message of this.#outstanding.values()) {
      if (!message.carriedOver) this.#carriedOver += 1;
      message.carriedOver = true;
      this.#lose(message);
    }
  }

  /** The socket is lost: nothing is sent until the next. */
  disconnected(): void {
    this.#connected = false;
  }

  /** Whether a new message may be sent now; never before repetitions that are due. */
  ready(now: number): boolean {
    return this.#connected && this.#lost === 0 && this.#windowOpen() && this.#refill(now) >= 1;
  }

  /** Numbers a message and returns its bytes for transmission. If not `ready`, only for the few control messages of a channel. */
  send(encode: (sequenceNumber: number) => Buffer, now: number): Buffer {
    const frame = encode(this.#nextSequence);
    const message = { frame, sentAt: now, repeats: 0, lost: false, overtaken: 0, carriedOver: false };
    this.#outstanding.set(this.#nextSequence, message);
    this.#nextSequence += 1;
    this.#bytes += frame.length;
    this.#tokens = this.#refill(now) - 1;
    return frame;
  }

  /** Takes an acknowledgement; true if it was for something outstanding, which proves that the agent is alive. */
  acknowledged(sequenceNumber: number, now: number): boolean {
    const message = this.#outstanding.get(sequenceNumber);
    if (message === undefined) return false;
    this.#forget(sequenceNumber, message);
    if (message.repeats === 0) this.roundTrip.sample(now - message.sentAt, now);
    // An answer that comes faster than the path allows was for an earlier sending: the time of the repetition proves nothing.
    const { shortestMs = Number.POSITIVE_INFINITY } = this.roundTrip;
    if (message.repeats === 0 || now - message.sentAt >= shortestMs) {
      this.#arrivedSentAt = Math.max(this.#arrivedSentAt, message.sentAt);
    }
    this.#loseOvertaken();
    return true;
  }

  /** The messages to repeat now, as many as the pace allows. Call again at `wakeAt`. */
  repetitions(now: number): Buffer[] {
    if (!this.#connected) return [];
    const [oldest] = this.#outstanding.values();
    if (oldest !== undefined && !oldest.lost && now >= oldest.sentAt + this.roundTrip.timeoutMs) {
      this.#lose(oldest);
      this.roundTrip.backOff();
    }
    const frames: Buffer[] = [];
    if (this.#lost === 0) return frames;
    for (const message of this.#outstanding.values()) {
      if (!message.lost) continue;
      if (this.#refill(now) < 1) break;
      this.#tokens -= 1;
      this.#lost -= 1;
      message.lost = false;
      message.sentAt = now;
      message.repeats += 1;
      frames.push(message.frame);
      if (this.#lost === 0) break;
    }
    return frames;
  }

  /** When to call `repetitions` (and `ready`, if `wanting` to send) again; undefined when only an event can change anything. */
  wakeAt(now: number, wanting: boolean): number | undefined {
    if (!this.#connected) return undefined;
    const paced = this.#lost > 0 || (wanting && this.#windowOpen());
    const tokens = this.#refill(now);
    // At least a tenth of a millisecond ahead: a smaller step may be lost in rounding, and the caller would loop forever.
    const tokenIn = tokens >= 1 ? 0 : Math.max(0.1, ((1 - tokens) * 1_000) / messagesPerSecond);
    const paceAt = paced ? now + tokenIn : Number.POSITIVE_INFINITY;
    const [oldest] = this.#outstanding.values();
    const overdueAt =
      oldest === undefined || oldest.lost ? Number.POSITIVE_INFINITY : oldest.sentAt + this.roundTrip.timeoutMs;
    const at = Math.min(paceAt, overdueAt);
    return Number.isFinite(at) ? at : undefined;
  }

  #windowOpen(): boolean {
    const pathHolds = Math.ceil((2 * messagesPerSecond * (this.roundTrip.shortestMs ?? 100)) / 1_000);
    const messages = Math.min(windowMaxMessages, Math.max(windowMinMessages, pathHolds));
    return this.#outstanding.size < messages && this.#bytes < windowMaxBytes;
  }

  /** Marks what was sent clearly before something that arrived: the relay keeps order, so it is lost (a simple form of RFC 8985). */
  #loseOvertaken(): void {
    const before = this.#arrivedSentAt - Math.max(reorderMinMs, this.roundTrip.smoothedMs / 4);
    for (const [sequenceNumber, message] of this.#outstanding) {
      if (message.lost) continue;
      if (message.sentAt < before) {
        message.overtaken += 1;
        if (this.acknowledgesOnce && message.overtaken >= certainlyArrived) this.#forget(sequenceNumber, message);
        else this.#lose(message);
      }
      // Those after it were first sent later still; only after a repeated one may there be another lost one.
      else if (message.repeats === 0) return;
    }
  }

  #forget(sequenceNumber: number, message: Outstanding): void {
    this.#outstanding.delete(sequenceNumber);
    this.#bytes -= message.frame.length;
    if (message.lost) this.#lost -= 1;
    if (message.carriedOver) this.#carriedOver -= 1;
  }

  #lose(message: Outstanding): void {
    if (message.lost) return;
    message.lost = true;
    this.#lost += 1;
  }

  #refill(now: number): number {
    if (now > this.#tokensAt) {
      this.#tokens = Math.min(maxBurst, this.#tokens + ((now - this.#tokensAt) * messagesPerSecond) / 1_000);
      this.#tokensAt = now;
    }
    return this.#tokens;
  }
}

const reorderMaxMessages = 10_000;
const reorderMaxBytes = 8 * 1024 * 1024;

export interface Received {
  /** Whether to acknowledge the message; if not, the agent will send it again. */
  readonly acknowledge: boolean;
  /** What is now in order, the oldest first; handle it before the acknowledgement is sent. */
  readonly deliver: readonly Message[];
}

/**
 * The agent's direction: every message is delivered once, in order. Duplicates are acknowledged again, because the first
 * acknowledgement may have been lost. At most 10,000 messages and 8 MiB wait for a gap; anything more is not acknowledged, so the agent keeps it.
 */
export class ReliableReceiver {
  #expected = 0;
  /** What waits for a gap to be filled, in the order in which it came. */
  readonly #early = new Map<number, { readonly message: Message; readonly at: number }>();
  #earlyBytes = 0;
  #overflowed = false;

  /** Bytes that wait for a gap to be filled. */
  get heldBytes(): number {
    return this.#earlyBytes;
  }

  /** Since when the message has waited that has waited longest for a gap to be filled; undefined: none waits. */
  get heldSince(): number | undefined {
    return this.#early.values().next().value?.at;
  }

  /** True once there was no room behind the present gap: the agent must repeat that, too, and may send on faster than it repeats. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  receive(message: Message, now: number): Received {
    const { sequenceNumber, payload } = message;
    if (sequenceNumber < this.#expected || this.#early.has(sequenceNumber)) return { acknowledge: true, deliver: [] };
    if (sequenceNumber > this.#expected) {
      if (this.#early.size >= reorderMaxMessages || this.#earlyBytes + payload.length > reorderMaxBytes) {
        this.#overflowed = true;
        return { acknowledge: false, deliver: [] };
      }
      // A copy: the payload is a view that would keep a whole socket read alive.
      this.#early.set(sequenceNumber, { message: { ...message, payload: Buffer.from(payload) }, at: now });
      this.#earlyBytes += payload.length;
      return { acknowledge: true, deliver: [] };
    }
    const deliver = [message];
    this.#expected += 1;
    for (let next = this.#early.get(this.#expected); next !== undefined; next = this.#early.get(this.#expected)) {
      this.#early.delete(this.#expected);
      this.#earlyBytes -= next.message.payload.length;
      this.#expected += 1;
      deliver.push(next.message);
    }
    if (this.#early.size === 0) this.#overflowed = false;
    return { acknowledge: true, deliver };
  }
}
