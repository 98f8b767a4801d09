// Whether the agent lives. The web socket's pongs prove nothing: they come from the service, not from the agent. Only progress proves life:
// an acknowledgement of something outstanding, or data. When nothing is outstanding, the agent is asked by a NOP every 4 s.
// A state machine fed with (event, now): no I/O, no timers. Neighbours: agent-silence.ts (what silence means), probe-schedule.ts (when to
// ask), send-loop.ts (feeds it and acts on its judgement).
import { lagMs } from '../base/silence-timer.ts';
import { AgentSilence, type AgentVerdict } from './agent-silence.ts';
import { ProbeSchedule } from './probe-schedule.ts';

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

  constructor(now: number) {
    this.#probes = new ProbeSchedule(now);
  }

  /** The agent acknowledged something outstanding, or sent data. */
  progress(now: number): void {
    this.#probes.progress(now);
    this.#silence.restart(now);
  }

  /** Whether messages of ours wait for their acknowledgement. */
  outstanding(now: number, outstanding: boolean): void {
    this.#outstanding = outstanding;
    if (outstanding) this.#probes.sent(now);
    this.#expect(now);
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
    const probeAt = this.#connected && !this.#outstanding ? this.#probes.dueAt : Number.POSITIVE_INFINITY;
    const at = Math.min(probeAt > now ? probeAt : Number.POSITIVE_INFINITY, this.#silence.nextVerdictAt(now));
    this.#plannedAt = Number.isFinite(at) ? at : undefined;
    return { verdict: this.#silence.verdict(now), probe: probeAt <= now, at: this.#plannedAt };
  }

  #expect(now: number): void {
    const { watches, lastProgress } = this.#probes;
    if (watches || this.#outstanding || !this.#connected) this.#silence.expect(watches ? lastProgress : now);
    else this.#silence.expectNothing();
  }
}
