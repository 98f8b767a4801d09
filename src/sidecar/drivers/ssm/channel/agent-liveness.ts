// Whether the agent lives. The web socket's pongs prove nothing: they come from the service, not from the agent. Data of the agent proves
// little: it goes on sending for other streams while it takes nothing of ours. Only an acknowledgement proves life. When nothing is outstanding,
// the agent is asked by a NOP every 4 s; an old one, which may owe an acknowledgement that was lost for good, also while something is.
// A state machine fed with (event, now): no I/O, no timers. Neighbours: agent-silence.ts (what silence means), probe-schedule.ts (when to
// ask), send-loop.ts (feeds it and acts on its judgement).
import { lagMs } from '../base/silence-timer.ts';
import { AgentSilence, type AgentVerdict } from './agent-silence.ts';
import { ProbeSchedule } from './probe-schedule.ts';

/** An agent that owes an acknowledgement is asked after so long, then after twice that, and so on. */
const firstAskMs = 1_000;

export interface Judgement {
  readonly verdict: AgentVerdict;
  /** Send a NOP now. */
  readonly probe: boolean;
  /** When to call `judge` again at the latest; undefined when only an event can change anything. */
  readonly at: number | undefined;
}

export class AgentLiveness {
  readonly #silence = new AgentSilence();
  readonly #probes: ProbeSchedule;
  #connected = true;
  #outstanding = false;
  #pausedAt: number | undefined;
  #plannedAt: number | undefined;
  #asksOnceMore = false;
  /** Since when something is outstanding without any acknowledgement; undefined: nothing is. */
  #owedSince: number | undefined;
  /** How many NOPs were sent since then. */
  #asked = 0;

  constructor(now: number) {
    this.#probes = new ProbeSchedule(now);
  }

  /** The agent acknowledged something outstanding. */
  progress(now: number): void {
    this.#probes.progress(now);
    this.#silence.restart(now);
    if (this.#owedSince !== undefined) this.#owedSince = now;
    this.#asked = 0;
  }

  /** The agent sent something: it is there. */
  spoke(now: number): void {
    this.#silence.spoke(now);
  }

  /** Another session of the same node was opened. */
  nodeAnswered(now: number): void {
    this.#silence.nodeAnswered(now);
  }

  /** Whether messages of ours wait for their acknowledgement, and whether a destination that takes nothing may be the reason. */
  outstanding(now: number, outstanding: boolean, mayBeBlocked = false): void {
    this.#outstanding = outstanding;
    this.#silence.mayBeBlocked = mayBeBlocked;
    if (outstanding) {
      this.#probes.sent(now);
      this.#owedSince ??= now;
    } else {
      this.#owedSince = undefined;
      this.#asked = 0;
    }
    this.#expect(now);
  }

  /** The agent acknowledges each message only once: it is also asked while something is outstanding. */
  askOnceMore(): void {
    this.#asksOnceMore = true;
  }

  /** How often an idle agent is probed, in milliseconds; undefined: never, and the death of an idle agent goes unnoticed. */
  probeEvery(now: number, ms: number | undefined): void {
    if (!this.#probes.change(ms)) return;
    // Until now its silence meant nothing.
    if (!this.#silence.counts) this.#probes.progress(now);
    this.#expect(now);
  }

  /** Whether there is a web socket; without one the agent is silent too. */
  connected(now: number, connected: boolean): void {
    this.#connected = connected;
    this.#silence.connected(now, connected);
    this.#expect(now);
  }

  /** We stop reading: time stands still until `resumed`. */
  paused(now: number): void {
    this.#pausedAt ??= now;
  }

  resumed(now: number): void {
    if (this.#pausedAt === undefined) return;
    const paused = now - this.#pausedAt;
    this.#pausedAt = undefined;
    this.#plannedAt = undefined;
    this.#probes.skip(paused);
    this.#silence.skip(paused);
  }

  /** The owner will call `judge` then, earlier than it was told to. If the call comes later still, this process may have slept. */
  planned(at: number): void {
    this.#plannedAt = at;
  }

  /** What to do now. Call it after every event and at `at`, and only after everything that has arrived was read. */
  judge(now: number): Judgement {
    if (this.#pausedAt !== undefined) {
      return { verdict: this.#silence.verdict(this.#pausedAt), probe: false, at: undefined };
    }
    if (this.#plannedAt !== undefined && now > this.#plannedAt + lagMs) this.progress(now);
    const probeAt = this.#connected ? this.#probeDueAt : Number.POSITIVE_INFINITY;
    if (this.#outstanding && probeAt <= now) this.#asked += 1;
    const at = Math.min(probeAt > now ? probeAt : Number.POSITIVE_INFINITY, this.#silence.nextVerdictAt(now));
    this.#plannedAt = Number.isFinite(at) ? at : undefined;
    return { verdict: this.#silence.verdict(now), probe: probeAt <= now, at: this.#plannedAt };
  }

  get #probeDueAt(): number {
    if (!this.#outstanding) return this.#probes.dueAt;
    if (!this.#asksOnceMore || this.#owedSince === undefined) return Number.POSITIVE_INFINITY;
    return this.#owedSince + firstAskMs * 2 ** this.#asked;
  }

  #expect(now: number): void {
    const { watches, lastProgress } = this.#probes;
    if (watches || this.#outstanding || !this.#connected) this.#silence.expect(watches ? lastProgress : now);
    else this.#silence.expectNothing();
  }
}
