// The attempts in flight to open a session over one route. An attempt that nobody answered for a second is joined by another, because a
// lost SYN is repeated by the kernel only after 1, 3, 7, 15 s: too late for a network that just came back.
// Neighbours: retry-schedule.ts says when, tunnel.ts decides whether, driver.ts does the work.
import { TunnelError } from '../../contract/errors.ts';
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { Driver, Route, Session } from '../base/driver.ts';
import { RetrySchedule } from './retry-schedule.ts';

const joinAfterMs = 1_000;
/** The oldest attempt may be slow for a reason (a bastion that thinks long) and is kept to its end; the newest hears of a network that returned. */
const maxInFlight = 3;

interface Attempt {
  readonly startedAt: number;
  readonly generation: number;
  readonly abort: AbortController;
  answered: boolean;
}

export interface AttemptOutcome {
  readonly startedAt: number;
  /** The credentials generation that was current when the attempt began. */
  readonly generation: number;
}

export interface RouteAttemptsOptions {
  readonly driver: Driver;
  readonly route: Route;
  /** An attempt that the driver itself does not end is ended after this long. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly onSession: (session: Session, outcome: AttemptOutcome) => void;
  readonly onFailure: (error: TunnelError, outcome: AttemptOutcome) => void;
  readonly onAnswer: () => void;
}

export class RouteAttempts {
  readonly schedule: RetrySchedule;
  /** Why the route's last attempt failed or its last session ended; undefined after a success. */
  lastError: TunnelError | undefined;
  lastErrorAt = Number.NEGATIVE_INFINITY;
  readonly #options: RouteAttemptsOptions;
  readonly #inFlight: Attempt[] = [];
  readonly #settled = new Set<Promise<void>>();

  constructor(options: RouteAttemptsOptions) {
    this.#options = options;
    this.schedule = new RetrySchedule(options.random);
  }

  get via(): string {
    return this.#options.route.via;
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** When the oldest attempt in flight began; Infinity without one. */
  get firstStartedAt(): number {
    return this.#inFlight[0]?.startedAt ?? Number.POSITIVE_INFINITY;
  }

  hasGeneration(generation: number): boolean {
    return this.#inFlight.some((attempt) => attempt.generation === generation);
  }

  /** When the next attempt is due. `racing`: nobody carries the clients, so an unanswered attempt is joined by another. */
  dueAt(now: number, racing: boolean): number {
    const newest = this.#inFlight.at(-1);
    if (newest === undefined) return this.schedule.nextAt;
    if (!racing || this.schedule.isSparse(now) || this.#inFlight.some((attempt) => attempt.answered)) {
      return Number.POSITIVE_INFINITY;
    }
    return Math.max(this.schedule.nextAt, newest.startedAt + joinAfterMs);
  }

  start(generation: number): void {
    // The second oldest goes: the oldest has the best chance with a slow bastion, the newest with a network that returned.
    if (this.#inFlight.length >= maxInFlight) this.#inFlight.splice(1, 1)[0]?.abort.abort();
    const attempt: Attempt = {
      startedAt: this.#options.clock.now(),
      generation,
      abort: new AbortController(),
      answered: false,
    };
    this.#inFlight.push(attempt);
    const settled = this.#run(attempt).finally(() => this.#settled.delete(settled));
    this.#settled.add(settled);
  }

  /** Ends every attempt; with `unansweredOnly`, those that a bastion already answers may finish. */
  cancel(unansweredOnly = false): void {
    const keep = unansweredOnly ? this.#inFlight.filter((attempt) => attempt.answered) : [];
    const cancelled = this.#inFlight.filter((attempt) => !keep.includes(attempt));
    this.#inFlight.splice(0, this.#inFlight.length, ...keep);
    for (const attempt of cancelled) attempt.abort.abort();
  }

  /** Resolves when nothing of any attempt is left. */
  async idle(): Promise<void> {
    await Promise.all(this.#settled);
  }

  async #run(attempt: Attempt): Promise<void> {
    const { driver, route, deadlineMs, clock, log } = this.#options;
    const { signal } = attempt.abort;
    const late = new TunnelError(
      'BastionTimeout',
      `${route.via} did not answer within ${Math.round(deadlineMs / 1000)} s`,
    );
    const cancelDeadline = clock.after(deadlineMs, () => attempt.abort.abort(late));
    const onAnswer = (): void => {
      if (attempt.answered || signal.aborted) return;
      attempt.answered = true;
      this.#options.onAnswer();
    };
    try {
      // Not within the call of `start`: whoever starts attempts is in the middle of a decision.
      await Promise.resolve();
      signal.throwIfAborted();
      const session = await driver.connect(route, { signal, log, onAnswer });
      if (this.#take(attempt)) this.#options.onSession(session, attempt);
      else await session.close();
    } catch (cause) {
      if (!this.#take(attempt)) return;
      const error = signal.aborted ? late : asTunnelError(cause, route.via);
      this.#options.onFailure(error, attempt);
    } finally {
      cancelDeadline();
    }
  }

  /** Removes the attempt; false if it was cancelled meanwhile, so that its outcome no longer counts. */
  #take(attempt: Attempt): boolean {
    const index = this.#inFlight.indexOf(attempt);
    if (index === -1) return false;
    this.#inFlight.splice(index, 1);
    return true;
  }
}

/** A driver throws TunnelErrors only; anything else is a bug there, which must not stop the retries. */
export function asTunnelError(cause: unknown, via: string): TunnelError {
  return cause instanceof TunnelError
    ? cause
    : new TunnelError('BastionLost', `the session to ${via} failed in an unforeseen way`, { cause });
}
