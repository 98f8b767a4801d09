// Decides from the silence of a connection whether it is alive, suspect or dead. No I/O and no clock of its own: session.ts feeds it
// ticks and byte counts and does what it answers; kernel-evidence.ts tells a dead network from a far side that merely stalls
// (sshd resolves names in line: one slow lookup freezes all of its channels for 10 s, and ending it would drop every stream).

/** What the caller must do next. `confirm`: let the event loop read once more, then call `confirm`. */
export type LivenessAction = 'none' | 'ping' | 'askKernel' | 'confirm';

export type Verdict = 'network-dead' | 'far-side-stalled';

export interface LivenessOptions {
  /** Silence after which a ping is sent; two of them without an inbound byte make the connection suspect. */
  readonly intervalMs: number;
}

/** A tick that comes later than this says that we, not the far side, were away: frozen, throttled or overloaded. */
const lagToleratedMs = 1000;

/** After suspicion: 4 s more of silence with unacknowledged bytes, or 26 s more without, end the connection (8 s and 30 s at 2 s). */
const networkDeadAfterMs = 4000;
const stalledAfterMs = 26_000;

/** How often the kernel is asked while suspect; reading its table costs milliseconds on a busy node. */
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
  #pending: Verdict | undefined;

  /** Times are milliseconds of one monotonic clock; `bytes` counts all bytes received so far. */
  constructor(options: LivenessOptions, now: number, bytes: number) {
    this.#intervalMs = options.intervalMs;
    this.#bytes = bytes;
    this.#silentSince = now;
    this.#lastTick = now;
    this.#lastPing = now;
  }

  /** How often `tick` is to be called. */
  get tickMs(): number {
    return Math.min(500, this.#intervalMs / 2);
  }

  get suspect(): boolean {
    return this.#suspect;
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

  /** What the kernel says: true when bytes that we sent are retransmitted without an acknowledgement. */
  kernelSays(unacknowledged: boolean): void {
    this.#unacknowledged = unacknowledged;
  }

  /** After one more turn of reading: the verdict, or undefined when a byte came after all. */
  confirm(now: number, bytes: number): Verdict | undefined {
    const verdict = this.#pending;
    this.#pending = undefined;
    if (bytes === this.#bytes) return verdict;
    this.#heard(now, bytes);
    return undefined;
  }

  #propose(verdict: Verdict): LivenessAction {
    this.#pending = verdict;
    return 'confirm';
  }

  #heard(now: number, bytes: number): void {
    this.#bytes = bytes;
    this.#suspect = false;
    this.#restart(now);
  }

  /** The count of silence begins anew; a suspicion stays until a byte comes. */
  #restart(now: number): void {
    this.#silentSince = now;
    this.#unacknowledged = false;
    this.#pending = undefined;
  }
}
