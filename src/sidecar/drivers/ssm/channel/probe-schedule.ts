// When an idle agent is sent a NOP: to learn whether it lives, or to keep an old agent from ending the session. A state machine fed with
// (event, now): no I/O, no timers. Neighbour: agent-liveness.ts decides whether the agent is idle.

/** How often an idle agent is asked whether it lives. */
export const probeMs = 4_000;
/** How often an old agent is sent something: up to 3.1.1511.0 it ends the session unless it hears something every 30 s. */
export const keepAliveMs = 10_000;

export class ProbeSchedule {
  #every: number | undefined;
  #lastProgress: number;
  #lastSent: number;

  constructor(now: number) {
    this.#lastProgress = now;
    this.#lastSent = now;
  }

  /** True if the agent is asked so often that its silence means something. */
  get watches(): boolean {
    return this.#every !== undefined && this.#every <= probeMs;
  }

  /** When the agent last acknowledged something outstanding or sent data. */
  get lastProgress(): number {
    return this.#lastProgress;
  }

  progress(now: number): void {
    this.#lastProgress = now;
  }

  /** Leaves out a time in which nobody could be heard. */
  skip(ms: number): void {
    this.#lastProgress += ms;
  }

  /** Something of ours is on its way to the agent. */
  sent(now: number): void {
    this.#lastSent = now;
  }

  /** Sets how often, in milliseconds; undefined: never. False if it was so already. */
  change(every: number | undefined): boolean {
    if (every === this.#every) return false;
    this.#every = every;
    return true;
  }

  /** When an agent that is idle until then is probed next; Infinity: never. */
  get dueAt(): number {
    if (this.#every === undefined) return Number.POSITIVE_INFINITY;
    // An old agent's own traffic does not replace our keep-alive: schedule it from what we last sent.
    return (this.watches ? this.#lastProgress : this.#lastSent) + this.#every;
  }
}
