// Turns what a driver tells of an attempt into steps with their times: a step ends when the next begins, and a failure belongs to the step
// that is under way. Neighbours: base/trace.ts (what drivers call), inspect.ts (owns one for each walk).
import { errorCodes } from '../../contract/error-codes.ts';
import type { TunnelError } from '../../contract/errors.ts';
import type { Trace } from '../base/trace.ts';
import type { Advice, WalkStep } from './step.ts';

interface Running {
  readonly step: string;
  readonly startedAt: number;
  readonly facts: string[];
}

/** More of one step are not reported: a far side may make a login long. */
const maxFacts = 40;

export class StepRecorder implements Trace {
  readonly #onStep: (step: WalkStep) => void;
  readonly #now: () => number;
  #at = '';
  #running: Running | undefined;

  /** `onStep` gets each step when it has ended; `now`: milliseconds of a monotonic clock. */
  constructor(onStep: (step: WalkStep) => void, now: () => number = () => performance.now()) {
    this.#onStep = onStep;
    this.#now = now;
  }

  /** What the step that is under way, or the last one, is about. */
  get at(): string {
    return this.#at;
  }

  begin(step: string, at = this.#at): void {
    this.succeed();
    this.#at = at;
    this.#running = { step, startedAt: this.#now(), facts: [] };
  }

  note(fact: string): void {
    const facts = this.#running?.facts;
    if (facts !== undefined && fact !== '' && facts.length < maxFacts) facts.push(fact);
  }

  /** Ends the step that is under way, if any. */
  succeed(): void {
    this.#end({ ok: true });
  }

  /** The step that is under way has failed. */
  fail({ code, message }: TunnelError, advice: readonly Advice[]): void {
    this.#end({ ok: false, reason: code, message, remedy: errorCodes[code].remedy, advice });
  }

  #end(outcome: Pick<WalkStep, 'ok' | 'reason' | 'message' | 'remedy' | 'advice'>): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    const { step, startedAt, facts } = running;
    const ms = Math.round((this.#now() - startedAt) * 10) / 10;
    this.#onStep({ at: this.#at, step, ms, facts, ...outcome });
  }
}
