// What the agent's silence means. It counts only while the agent is expected to answer. A state machine fed with (event, now): no I/O,
// no timers. Neighbour: agent-liveness.ts decides when an answer is expected.

const suspectMs = 8_000;
const resumeMs = 25_000;
const endedMs = 75_000;

/**
 * `alive`; `suspect` after 8 s without progress: no new streams here; `resume` after 25 s: replace the socket;
 * `ended` after 75 s: nothing will come any more.
 */
export type AgentVerdict = 'alive' | 'suspect' | 'resume' | 'ended';

export class AgentSilence {
  /** From when silence counts; undefined while no answer is expected. */
  #from: number | undefined;

  get counts(): boolean {
    return this.#from !== undefined;
  }

  /** Begins to count at `from`, unless it counts already. */
  expect(from: number): void {
    this.#from ??= from;
  }

  expectNothing(): void {
    this.#from = undefined;
  }

  /** Begins to count anew, if it counts. */
  restart(now: number): void {
    if (this.#from !== undefined) this.#from = now;
  }

  /** Leaves out a time in which nobody could be heard. */
  skip(ms: number): void {
    if (this.#from !== undefined) this.#from += ms;
  }

  verdict(now: number): AgentVerdict {
    const silence = this.#lasting(now);
    if (silence >= endedMs) return 'ended';
    if (silence >= resumeMs) return 'resume';
    return silence >= suspectMs ? 'suspect' : 'alive';
  }

  /** When the verdict changes if the silence goes on; Infinity if it does not. */
  nextVerdictAt(now: number): number {
    const silence = this.#lasting(now);
    const next = [suspectMs, resumeMs, endedMs].find((threshold) => threshold > silence);
    return next === undefined || this.#from === undefined ? Number.POSITIVE_INFINITY : this.#from + next;
  }

  #lasting(now: number): number {
    return this.#from === undefined ? 0 : now - this.#from;
  }
}
