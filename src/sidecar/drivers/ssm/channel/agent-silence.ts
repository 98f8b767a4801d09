// What the agent's silence means. Silence is that nothing of ours is acknowledged, whatever the agent sends: one that stands still in one stream
// goes on sending for others. It counts only while an answer is expected. A state machine fed with (event, now): no I/O, no timers.
// Neighbour: agent-liveness.ts decides when an answer is expected.

const suspectMs = 8_000;
const resumeMs = 25_000;
const endedMs = 75_000;
/**
 * How long an agent may say nothing at all after it was resumed and its node has answered in another session, at least. An agent that has given up
 * its own connection lives on, opens new ones, and never comes back to this session. One whose network was cut opens nothing until it is
 * back, and then TCP needs up to as long again as the cut has lasted, because it doubles its pauses.
 */
const speaksWithinMs = 6_000;

/**
 * `alive`; `suspect` after 8 s without acknowledgement: no new streams here, replace the socket; `resume` after 25 s: replace it again;
 * `ended` after 75 s, or once its node has answered in another session and it has still said nothing for as long again: nothing will come any more.
 */
export type AgentVerdict = 'alive' | 'suspect' | 'resume' | 'ended';

export class AgentSilence {
  /** From when silence counts; undefined while no answer is expected. */
  #from: number | undefined;
  /** When the present socket was opened; Infinity without one. */
  #connectedAt = Number.NEGATIVE_INFINITY;
  /** When the agent last sent anything, on any stream. */
  #spokeAt = Number.NEGATIVE_INFINITY;
  #mayBeBlocked = false;
  /** When another session of the node was opened during this silence; undefined: none was. */
  #nodeAnsweredAt: number | undefined;

  get counts(): boolean {
    return this.#from !== undefined;
  }

  /** Begins to count at `from`, unless it counts already. */
  expect(from: number): void {
    if (this.#from !== undefined) return;
    this.#from = from;
    this.#nodeAnsweredAt = undefined;
  }

  expectNothing(): void {
    this.#from = undefined;
  }

  /** Begins to count anew, if it counts. */
  restart(now: number): void {
    this.#spokeAt = now;
    this.#nodeAnsweredAt = undefined;
    if (this.#from !== undefined) this.#from = now;
  }

  /** The agent sent something; that alone acknowledges nothing. */
  spoke(now: number): void {
    this.#spokeAt = now;
  }

  connected(now: number, connected: boolean): void {
    this.#connectedAt = connected ? now : Number.POSITIVE_INFINITY;
  }

  /** Another session of the same node was opened: during a suspicion this shows that node and network work. Earlier it shows nothing. */
  nodeAnswered(now: number): void {
    if (this.#lasting(now) >= suspectMs) this.#nodeAnsweredAt ??= now;
  }

  /** True while a destination that takes nothing may be why the agent says nothing: then it has the whole 75 s. */
  set mayBeBlocked(value: boolean) {
    this.#mayBeBlocked = value;
  }

  /** Leaves out a time in which nobody could be heard. */
  skip(ms: number): void {
    if (this.#from !== undefined) this.#from += ms;
    this.#connectedAt += ms;
    if (this.#nodeAnsweredAt !== undefined) this.#nodeAnsweredAt += ms;
  }

  verdict(now: number): AgentVerdict {
    const silence = this.#lasting(now);
    if (silence >= endedMs || now >= this.#givenUpAt) return 'ended';
    if (silence >= resumeMs) return 'resume';
    return silence >= suspectMs ? 'suspect' : 'alive';
  }

  /** When the verdict changes if the silence goes on; Infinity if it does not. */
  nextVerdictAt(now: number): number {
    const from = this.#from;
    if (from === undefined) return Number.POSITIVE_INFINITY;
    const times = [suspectMs, resumeMs, endedMs].map((threshold) => from + threshold);
    return Math.min(...[...times, this.#givenUpAt].filter((at) => at > now));
  }

  /** When the agent counts as gone because only other sessions of its node answer; Infinity: not for that reason. */
  get #givenUpAt(): number {
    const [from, answeredAt] = [this.#from, this.#nodeAnsweredAt];
    if (from === undefined || answeredAt === undefined || this.#mayBeBlocked) return Number.POSITIVE_INFINITY;
    const isNew = this.#connectedAt >= from + suspectMs;
    if (!isNew || this.#spokeAt > this.#connectedAt) return Number.POSITIVE_INFINITY;
    return Math.max(this.#connectedAt + speaksWithinMs, answeredAt + Math.max(speaksWithinMs, answeredAt - from));
  }

  #lasting(now: number): number {
    return this.#from === undefined ? 0 : now - this.#from;
  }
}
