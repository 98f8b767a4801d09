// What a session does periodically: asks for signs of life, measures how far away the far side is, reports one that is suspect or dead, and
// exchanges new keys after enough bytes. Owns the session's one timer.
// Neighbours: liveness.ts decides, kernel-evidence.ts asks the kernel, answer-time.ts keeps the time, session.ts acts.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { abortable } from '../../../../process/abort.ts';
import type { ChannelMessages } from '../base/ssh2-hardening.ts';
import { AnswerTime } from './answer-time.ts';
import { unacknowledged } from './kernel-evidence.ts';
import { type CauseOfDeath, Liveness } from './liveness.ts';

/** A socket, or a channel of a jump host's session: both count the bytes that they received. */
export type Transport = Duplex & { readonly bytesRead: number };

export interface SessionWatchOptions {
  readonly transport: Transport;
  readonly messages: ChannelMessages;
  /** Silence after which a sign of life is asked for; 0: silence is never acted on. */
  readonly intervalMs: number;
  /** Bytes that may be sent under one key, both directions together. */
  readonly rekeyBytes: number;
  readonly onSuspectChange: (suspect: boolean) => void;
  readonly onDead: (cause: CauseOfDeath) => void;
}

/** RFC 4344 §3.2 allows 2^32 blocks of AES (64 GiB) under one key; ciphers with 8-byte blocks, 1 GiB. */
export const rekeyBytes = (cipher: string): number => (cipher.startsWith('chacha20') ? 2 ** 30 : 2 ** 35);

/** Interval at which bytes are counted if silence is not acted on. */
const idleTickMs = 1000;

/** The first answer alone waits for sshd to settle. */
const certainAnswers = 3;

export class SessionWatch {
  readonly #options: SessionWatchOptions;
  readonly #liveness: Liveness | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #answerTime = new AnswerTime();
  readonly #measured = Promise.withResolvers<void>();
  #answers = 0;
  #stopped = false;
  #suspect = false;
  #rekeyedAt = 0;

  constructor(options: SessionWatchOptions) {
    const { transport, intervalMs } = options;
    this.#options = options;
    this.#liveness = intervalMs > 0 ? new Liveness({ intervalMs }, performance.now(), transport.bytesRead) : undefined;
    this.#timer = setInterval(() => this.#tick(), this.#liveness?.tickMs ?? idleTickMs);
    this.#measure();
  }

  /** The least time that the far side took lately to answer, in milliseconds; undefined if it never did. */
  get roundTripMs(): number | undefined {
    return this.#answerTime.leastMs;
  }

  /** Call it for each answer to a global request. */
  answered(): void {
    if (this.#stopped) return;
    this.#answerTime.answered(performance.now(), this.#options.transport.bytesRead);
    if (++this.#answers === certainAnswers) this.#measured.resolve();
    this.#measure();
  }

  /** Resolves with `roundTripMs` once a few questions were answered. @throws the signal's reason */
  async roundTrip(signal: AbortSignal): Promise<number> {
    await abortable(this.#measured.promise, { signal });
    return this.#answerTime.leastMs ?? 0;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  /** Milliseconds since the last byte of the far side; undefined if silence is never acted on. */
  get silentMs(): number | undefined {
    return this.#liveness?.silentMs(performance.now(), this.#options.transport.bytesRead);
  }

  /** Asks for a sign of life now. */
  ask(): void {
    // During a key exchange the question would wait in our own queue; the exchange itself is a question.
    if (this.#stopped || this.#options.messages.exchangingKeys) return;
    // What has arrived until now is no answer to it.
    this.#liveness?.silentMs(performance.now(), this.#options.transport.bytesRead);
    this.#ping();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#exchangeKeys();
    this.#measure();
    const { transport } = this.#options;
    const liveness = this.#liveness;
    if (liveness === undefined) return;
    const action = liveness.tick(performance.now(), transport.bytesRead);
    this.#reportSuspicion(liveness.suspect);
    if (action === 'ping') this.#ping();
    else if (action === 'askKernel' && transport instanceof Socket) {
      void unacknowledged(transport).then((isUnacknowledged) => liveness.kernelSays(isUnacknowledged));
    } else if (action === 'confirm') {
      // Timers run before input is read: whatever arrived while we stood still is read in the turn between.
      setImmediate(() => setImmediate(() => this.#confirm(liveness)));
    }
  }

  #measure(): void {
    // During a key exchange the question would wait in our own queue, and its answer would say nothing about the way.
    if (this.#answerTime.due(performance.now()) && !this.#options.messages.exchangingKeys) this.#ping();
  }

  #ping(): void {
    this.#answerTime.asked(performance.now(), this.#options.transport.bytesRead);
    this.#options.messages.ping();
  }

  #confirm(liveness: Liveness): void {
    if (this.#stopped) return;
    const cause = liveness.confirm(performance.now(), this.#options.transport.bytesRead);
    this.#reportSuspicion(liveness.suspect);
    if (cause !== undefined) this.#options.onDead(cause);
  }

  #reportSuspicion(suspect: boolean): void {
    if (suspect === this.#suspect || this.#stopped) return;
    this.#suspect = suspect;
    this.#options.onSuspectChange(suspect);
  }

  #exchangeKeys(): void {
    const { transport, messages, rekeyBytes } = this.#options;
    const moved = transport.bytesRead + (transport instanceof Socket ? transport.bytesWritten : 0);
    if (moved - this.#rekeyedAt < rekeyBytes) return;
    this.#rekeyedAt = moved;
    messages.rekey();
  }
}
