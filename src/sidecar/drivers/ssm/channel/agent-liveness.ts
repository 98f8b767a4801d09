// Whether the agent lives. The web socket's pongs prove nothing: they come from the service, not from the agent. What proves life is
// progress: an acknowledgement of something outstanding, or data. With nothing outstanding the agent is asked by a NOP every 4 s.
// A state machine fed with (event, now): no I/O, no timers. Neighbour: send-loop.ts feeds it and acts on what it says.
import { lagMs } from '../base/silence-timer.ts';

/** An idle session is asked this often whether it lives, where it is to be known. */
export const probeMs = 4_000;
/** An agent up to 3.1.1511.0 ends the session unless it hears something every 30 s. */
export const keepAliveMs = 10_000;
const suspectMs = 8_000;
const resumeMs = 25_000;
const endedMs = 75_000;
/**
 * `alive`; `suspect` after 8 s without progress: no new streams here; `resume` after 25 s: the socket is to be replaced;
 * `ended` after 75 s: nothing will come any more.
 */
export type AgentVerdict = 'alive' | 'suspect' | 'resume' | 'ended';

export interface Judgement {
  readonly verdict: AgentVerdict;
  /** Send a NOP now. */
  readonly probe: boolean;
  /** When to ask again at the latest; undefined when only an event can change anything. */
  readonly at: number | undefined;
}

export class AgentLiveness {
  #lastProgress: number;
  #probeEvery: number | undefined;
  #connected = true;
  #outstanding = false;
  /** When something of ours was last on its way: what keeps an old agent company, whatever it says itself. */
  #lastSent: number;
  /** From when silence counts; undefined while nobody is expected to speak. */
  #silentFrom: number | undefined;
  #pausedAt: number | undefined;
  #plannedAt: number | undefined;

  constructor(now: number) {
    this.#lastProgress = now;
    this.#lastSent = now;
  }

  /** The agent acknowledged something outstanding, or sent data. */
  progress(now: number): void {
    this.#lastProgress = now;
    if (this.#silentFrom !== undefined) this.#silentFrom = now;
  }

  /** Whether messages of ours wait for their acknowledgement. */
  outstanding(now: number, outstanding: boolean): void {
    this.#outstanding = outstanding;
    if (outstanding) this.#lastSent = now;
    this.#expect(now);
  }

  /** How often an idle agent is asked, in milliseconds; undefined: never, and an idle session's agent may be dead unnoticed. */
  probeEvery(now: number, ms: number | undefined): void {
    if (ms === this.#probeEvery) return;
    this.#probeEvery = ms;
    // Before, its silence meant nothing.
    if (this.#silentFrom === undefined) this.#lastProgress = now;
    this.#expect(now);
  }

  /** Whether there is a web socket; without one the agent is silent too. */
  connected(now: number, connected: boolean): void {
    this.#connected = connected;
    this.#expect(now);
  }

  /** We stop reading: until `resumed` time stands still. */
  paused(now: number): void {
    this.#pausedAt ??= now;
  }

  resumed(now: number): void {
    if (this.#pausedAt === undefined) return;
    const paused = now - this.#pausedAt;
    this.#pausedAt = undefined;
    this.#plannedAt = undefined;
    this.#lastProgress += paused;
    if (this.#silentFrom !== undefined) this.#silentFrom += paused;
  }

  /** The owner means to ask then, earlier than it was told to: it may have slept if it comes later still. */
  planned(at: number): void {
    this.#plannedAt = at;
  }

  /** What is to be done now. To be asked after every event, at `at`, and only after all that has arrived was read. */
  judge(now: number): Judgement {
    if (this.#pausedAt !== undefined) return { verdict: this.#verdict(this.#pausedAt), probe: false, at: undefined };
    if (this.#plannedAt !== undefined && now > this.#plannedAt + lagMs) {
      this.#lastProgress = now;
      if (this.#silentFrom !== undefined) this.#silentFrom = now;
    }
    const asks = this.#probeEvery !== undefined && this.#connected && !this.#outstanding;
    // An agent to be kept company speaks by itself as often as it wants to be spoken to: its words put nothing off.
    const probeFrom = this.#watched ? this.#lastProgress : this.#lastSent;
    const probeAt = asks ? probeFrom + (this.#probeEvery ?? 0) : Number.POSITIVE_INFINITY;
    const silence = this.#silentFrom === undefined ? 0 : now - this.#silentFrom;
    const threshold = [suspectMs, resumeMs, endedMs].find((one) => one > silence);
    const verdictAt =
      threshold === undefined || this.#silentFrom === undefined
        ? Number.POSITIVE_INFINITY
        : this.#silentFrom + threshold;
    const at = Math.min(probeAt > now ? probeAt : Number.POSITIVE_INFINITY, verdictAt);
    this.#plannedAt = Number.isFinite(at) ? at : undefined;
    return { verdict: this.#verdict(now), probe: probeAt <= now, at: this.#plannedAt };
  }

  /** An idle agent is asked so often that its silence tells something. */
  get #watched(): boolean {
    return this.#probeEvery !== undefined && this.#probeEvery <= probeMs;
  }

  #expect(now: number): void {
    const watched = this.#watched;
    const expected = watched || this.#outstanding || !this.#connected;
    if (!expected) this.#silentFrom = undefined;
    else this.#silentFrom ??= watched ? this.#lastProgress : now;
  }

  #verdict(now: number): AgentVerdict {
    const silence = this.#silentFrom === undefined ? 0 : now - this.#silentFrom;
    if (silence >= endedMs) return 'ended';
    if (silence >= resumeMs) return 'resume';
    return silence >= suspectMs ? 'suspect' : 'alive';
  }
}
