// Decides from a connection's silence whether it is alive, suspect or dead. No I/O and no clock of its own: session-watch.ts feeds it
// times and byte counts and does what it returns. A far side that merely stalls is not dead: sshd resolves names synchronously, so one
// slow lookup freezes all of its channels for 10 s, and ending the session would drop every stream. Neighbour: kernel-evidence.ts.

/** What the caller must do next. `confirm`: let the event loop read once more, then call `confirm()`. */
export type LivenessAction = 'none' | 'ping' | 'askKernel' | 'confirm';

export type CauseOfDeath = 'network-dead' | 'far-side-stalled';

export interface LivenessOptions {
  /** Silence after which a ping is sent; two of them without an inbound byte make the connection suspect. */
  readonly intervalMs: number;
}

/** A tick later than this means that we, not the far side, stood still: frozen, throttled or overloaded. */
const lagToleratedMs = 1000;

/** After suspicion: 4 s more of silence with unacknowledged bytes, or 26 s more without, end the connection (8 s and 30 s at 2 s). */
const networkDeadAfterMs = 4000;
const stalledAfterMs = 26_000;

/** Interval between questions to the kernel while suspect; reading its table takes milliseconds on a busy node. */
const kernelEveryMs = 1000;

export class Liveness {
  readonly #intervalMs: number;
  #bytes: number;
  #silentSince: number;
  #lastTick: number;
  #lastPing: number;
  #lastAsked = Number.NEGATIVE_INFINITY;
  #unacknowledged = false;
  #suspect = false;
  #pending: CauseOfDeath | undefined;

  /** Times are milliseconds of one monotonic clock; `bytes` counts all bytes received so far. */
  constructor(options: LivenessOptions, now: number, bytes: number) {
    this.#intervalMs = options.intervalMs;
    this.#bytes = bytes;
    this.#silentSince = now;
    this.#lastTick = now;
    this.#lastPing = now;
  }

  /** Interval at which `tick` must be called. */
  get tickMs(): number {
    return Math.min(500, this.#intervalMs / 2);
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  /** Milliseconds since a byte arrived, up to half a second too few: its arrival is noted by `tick`, or here. */
  silentMs(now: number, bytes: number): number {
    if (bytes !== this.#bytes) this.#heard(now, bytes);
    return now - this.#silentSince;
  }

  tick(now: number, bytes: number): LivenessAction {
    const late = now - this.#lastTick - this.tickMs;
    this.#lastTick = now;
    if (bytes !== this.#bytes) this.#heard(now, bytes);
    else if (late > lagToleratedMs) this.#restart(now);

    const silence = now - this.#silentSince;
    if (silence >= 2 * this.#intervalMs) {
      this.#suspect = true;
      const beyond = silence - 2 * this.#intervalMs;
      if (beyond >= networkDeadAfterMs && this.#unacknowledged) return this.#propose('network-dead');
      if (beyond >= stalledAfterMs) return this.#propose('far-side-stalled');
    }
    if (silence >= this.#intervalMs && now - this.#lastPing >= this.#intervalMs) {
      this.#lastPing = now;
      return 'ping';
    }
    if (this.#suspect && now - this.#lastAsked >= kernelEveryMs) {
      this.#lastAsked = now;
      return 'askKernel';
    }
    return 'none';
  }

  /** Takes the kernel's answer: true if bytes that we sent are retransmitted without an acknowledgement. */
  kernelSays(unacknowledged: boolean): void {
    this.#unacknowledged = unacknowledged;
  }

  /** Call it after one more turn of reading: why the connection is dead, or undefined if a byte arrived after all. */
  confirm(now: number, bytes: number): CauseOfDeath | undefined {
    const cause = this.#pending;
    this.#pending = undefined;
    if (bytes === this.#bytes) return cause;
    this.#heard(now, bytes);
    return undefined;
  }

  #propose(cause: CauseOfDeath): LivenessAction {
    this.#pending = cause;
    return 'confirm';
  }

  #heard(now: number, bytes: number): void {
    this.#bytes = bytes;
    this.#suspect = false;
    this.#restart(now);
  }

  /** Counts silence from zero again; a suspicion stays until a byte arrives. */
  #restart(now: number): void {
    this.#silentSince = now;
    this.#unacknowledged = false;
    this.#pending = undefined;
  }
}
