// What is done about a silent tunnel, step by step, and when it is judged. Pure: fed with (event, now), answers with what is due.
// WireGuard itself says nothing of a dead gateway: its keep-alives get no reply, and an unknown key is answered by silence.
// Neighbours: session.ts feeds it once a second and does what it says.

/** Milliseconds of silence inside the tunnel after which each step is due (docs/promises.md, promise 4). */
export const ladderMs = {
  echo: 3_000,
  handshake: 6_000,
  repair: 8_000,
  otherTransport: 10_000,
  replace: 12_000,
  dead: 30_000,
} as const;

/**
 * `echo`: ask the network's own server for a sign of life. `handshake`: begin a new one; from here on the session is suspect. `repair`:
 * resolve the gateway's name again and ask the API about the peer. `otherTransport`: change between UDP and web socket. `replace`: a second
 * device with a new peer may be opened. `dead`: nothing more is expected of this one.
 */
export type Step = keyof typeof ladderMs;

/** A tick that comes so late was held up with everything else: the silence is ours, not the gateway's. */
const lagMs = 1_000;

const order = ['handshake', 'repair', 'otherTransport', 'replace', 'dead'] as const satisfies readonly Step[];

export class Ladder {
  readonly #tickMs: number;
  #heardAt: number;
  #tickedAt: number;
  #echoedAt = Number.NEGATIVE_INFINITY;
  #taken = 0;

  constructor(now: number, tickMs: number) {
    this.#heardAt = now;
    this.#tickedAt = now;
    this.#tickMs = tickMs;
  }

  /** Milliseconds since the last sign of life from inside the tunnel. */
  silentMs(now: number): number {
    return Math.max(0, now - this.#heardAt);
  }

  /** True from the handshake step on, until something is heard. */
  get suspect(): boolean {
    return this.#taken > 0;
  }

  /** True once a replacement may be opened. */
  get replaceable(): boolean {
    return this.#taken > order.indexOf('replace');
  }

  /** A packet of the network arrived at that time. */
  heard(at: number): void {
    if (at <= this.#heardAt) return;
    this.#heardAt = at;
    this.#taken = 0;
  }

  /** The steps that are due now, each once in a silence; echoes again and again. */
  tick(now: number): readonly Step[] {
    const late = now - this.#tickedAt > this.#tickMs + lagMs;
    this.#tickedAt = now;
    if (late) this.#heardAt = Math.max(this.#heardAt, now - this.#silenceBefore(now));
    const silent = this.silentMs(now);
    const due: Step[] = [];
    if (silent >= ladderMs.echo && now - this.#echoedAt >= ladderMs.echo) {
      this.#echoedAt = now;
      due.push('echo');
    }
    for (let step = order[this.#taken]; step !== undefined && silent >= ladderMs[step]; step = order[this.#taken]) {
      due.push(step);
      this.#taken += 1;
    }
    return due;
  }

  /** After a stall of our own the silence counts anew from the step that was reached. */
  #silenceBefore(now: number): number {
    const reached = order[this.#taken - 1];
    return Math.min(this.silentMs(now), reached === undefined ? 0 : ladderMs[reached]);
  }
}
