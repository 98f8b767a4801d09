// What a session does by itself while time passes: asks for signs of life, tells when the far side is suspect or dead, and renews its keys
// after enough bytes. Owns the session's one timer. Neighbours: liveness.ts judges, kernel-evidence.ts testifies, session.ts acts.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ChannelMessages } from '../base/ssh2-hardening.ts';
import { unacknowledged } from './kernel-evidence.ts';
import { Liveness, type Verdict } from './liveness.ts';

/** A socket, or a channel of another session: both count what they received. */
export type Transport = Duplex & { readonly bytesRead: number };

export interface SessionWatchOptions {
  readonly transport: Transport;
  readonly messages: ChannelMessages;
  /** Silence after which a sign of life is asked for; 0: silence is never judged. */
  readonly intervalMs: number;
  /** Bytes, both ways together, that may go under one key. */
  readonly rekeyBytes: number;
  readonly onSuspectChange: (suspect: boolean) => void;
  readonly onDead: (verdict: Verdict) => void;
}

/** How often bytes are counted where silence is not judged. */
const idleTickMs = 1000;

export class SessionWatch {
  readonly #options: SessionWatchOptions;
  readonly #liveness: Liveness | undefined;
  readonly #timer: NodeJS.Timeout;
  #stopped = false;
  #suspect = false;
  #rekeyedAt = 0;

  constructor(options: SessionWatchOptions) {
    const { transport, intervalMs } = options;
    this.#options = options;
    this.#liveness = intervalMs > 0 ? new Liveness({ intervalMs }, performance.now(), transport.bytesRead) : undefined;
    this.#timer = setInterval(() => this.#tick(), this.#liveness?.tickMs ?? idleTickMs);
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#renewKeys();
    const { transport, messages } = this.#options;
    const liveness = this.#liveness;
    if (liveness === undefined) return;
    const action = liveness.tick(performance.now(), transport.bytesRead);
    this.#tellSuspicion(liveness.suspect);
    if (action === 'ping') messages.ping();
    else if (action === 'askKernel' && transport instanceof Socket) {
      void unacknowledged(transport).then((yes) => liveness.kernelSays(yes));
    } else if (action === 'confirm') {
      // Timers run before input is read: what arrived while we were away is read in the turn between.
      setImmediate(() => setImmediate(() => this.#confirm(liveness)));
    }
  }

  #confirm(liveness: Liveness): void {
    if (this.#stopped) return;
    const verdict = liveness.confirm(performance.now(), this.#options.transport.bytesRead);
    this.#tellSuspicion(liveness.suspect);
    if (verdict !== undefined) this.#options.onDead(verdict);
  }

  #tellSuspicion(suspect: boolean): void {
    if (suspect === this.#suspect || this.#stopped) return;
    this.#suspect = suspect;
    this.#options.onSuspectChange(suspect);
  }

  #renewKeys(): void {
    const { transport, messages, rekeyBytes } = this.#options;
    const moved = transport.bytesRead + (transport instanceof Socket ? transport.bytesWritten : 0);
    if (moved - this.#rekeyedAt < rekeyBytes) return;
    this.#rekeyedAt = moved;
    messages.rekey();
  }
}
