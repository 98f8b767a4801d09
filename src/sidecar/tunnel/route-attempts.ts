// The attempts in flight to open a session over one route. An attempt that nobody answered for a second is joined by another, because a
// lost SYN is repeated by the kernel only after 1, 3, 7, 15 s: too late for a network that just came back.
// Neighbours: session-planner.ts decides whether and when, tunnel.ts hears the outcome, base/driver.ts does the work.
import { TunnelError } from '../../contract/errors.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Logger } from '../../process/log.ts';
import type { Driver, Route, Session } from '../base/driver.ts';
import { RetrySchedule } from './retry-schedule.ts';
import { StandbyCheck } from './standby-check.ts';

const joinAfterMs = 1_000;
/** The oldest attempt may be slow for a reason (a bastion that thinks long) and is kept to its end; the newest notices a network that returned. */
const maxInFlight = 3;

interface Attempt {
  readonly startedAt: number;
  readonly credentialsGeneration: number;
  /** It only asks whether the route could carry, where the driver can ask that. */
  readonly asksOnly: boolean;
  readonly abort: AbortController;
  answered: boolean;
}

export interface AttemptOutcome {
  readonly startedAt: number;
  /** The generation of the credentials that was current when the attempt began. */
  readonly credentialsGeneration: number;
}

export interface RouteAttemptsOptions {
  readonly driver: Driver;
  readonly route: Route;
  /** The driver ends its attempts itself, with an exact error. One that it does not end is ended after this long. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  /** Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  readonly log: Logger;
  readonly onSession: (session: Session, outcome: AttemptOutcome) => void;
  /** The route could carry; no session was opened. */
  readonly onStandsBy: (outcome: AttemptOutcome) => void;
  readonly onFailure: (error: TunnelError, outcome: AttemptOutcome) => void;
  readonly onAnswer: () => void;
}

export class RouteAttempts {
  readonly schedule: RetrySchedule;
  readonly check: StandbyCheck;
  readonly #options: RouteAttemptsOptions;
  readonly #inFlight: Attempt[] = [];
  readonly #settled = new Set<Promise<void>>();
  #lastError: TunnelError | undefined;
  #hasWorked = false;

  constructor(options: RouteAttemptsOptions) {
    this.#options = options;
    this.schedule = new RetrySchedule(options.random);
    this.check = new StandbyCheck(options.clock.now(), options.random);
  }

  get via(): string {
    return this.#options.route.via;
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** When the oldest attempt in flight began; undefined without one. */
  get firstStartedAt(): number | undefined {
    return this.#inFlight[0]?.startedAt;
  }

  /** Why the route's last attempt failed or its last session ended; undefined while it works, and before the first attempt. */
  get lastError(): TunnelError | undefined {
    return this.#lastError;
  }

  failedWith(error: TunnelError): void {
    this.#lastError = error;
  }

  works(): void {
    this.#lastError = undefined;
    this.#hasWorked = true;
  }

  /** A login that was only a check succeeded: nothing is left of earlier failures. */
  standsBy(): void {
    this.works();
    this.schedule.reset();
  }

  /** True once a session was opened over it. */
  get hasWorked(): boolean {
    return this.#hasWorked;
  }

  /** When the next attempt is due. In an outage, an unanswered attempt is joined by another. */
  dueAt(now: number, isOutage: boolean): number {
    const newest = this.#inFlight.at(-1);
    if (newest === undefined) return isOutage ? this.schedule.nextAt : this.schedule.nextAtWithoutHurry;
    if (!isOutage || this.schedule.isSparse(now) || this.#inFlight.some((attempt) => attempt.answered)) {
      return Number.POSITIVE_INFINITY;
    }
    return Math.max(this.schedule.nextAt, newest.startedAt + joinAfterMs);
  }

  /** Reports its outcome later, never within this call. `isCheck`: nobody needs the session. */
  start(credentialsGeneration: number, isCheck = false): void {
    // The second oldest goes: the oldest has the best chance with a slow bastion, the newest with a network that returned.
    if (this.#inFlight.length >= maxInFlight) this.#inFlight.splice(1, 1)[0]?.abort.abort();
    const attempt: Attempt = {
      startedAt: this.#options.clock.now(),
      credentialsGeneration,
      asksOnly: isCheck && this.#options.driver.checkStandby !== undefined,
      abort: new AbortController(),
      answered: false,
    };
    this.#inFlight.push(attempt);
    const settled = this.#run(attempt).finally(() => this.#settled.delete(settled));
    this.#settled.add(settled);
  }

  /** Ends every attempt; none of them reports an outcome. */
  cancel(): void {
    for (const attempt of this.#inFlight.splice(0)) attempt.abort.abort();
  }

  /** Ends the attempts that the bastion has not answered yet. */
  cancelUnanswered(): void {
    const all = this.#inFlight.splice(0);
    this.#inFlight.push(...all.filter((attempt) => attempt.answered));
    for (const attempt of all) if (!attempt.answered) attempt.abort.abort();
  }

  /** Resolves when nothing of any attempt is left. */
  async idle(): Promise<void> {
    await Promise.all(this.#settled);
  }

  async #run(attempt: Attempt): Promise<void> {
    const { via } = this;
    const session = await this.#connect(attempt);
    if (!this.#take(attempt)) {
      // Cancelled meanwhile: the outcome no longer counts.
      if (!(session instanceof TunnelError)) await session?.close();
    } else if (session instanceof TunnelError) {
      this.#options.onFailure(session, attempt);
    } else if (session === undefined) {
      this.#options.onStandsBy(attempt);
    } else if (session.signal.aborted) {
      // Ended before anyone could use it: the bastion may do so each time, and only a failure is followed by a pause.
      this.#options.onFailure(asTunnelError(session.signal.reason, via), attempt);
      await session.close();
    } else {
      this.#options.onSession(session, attempt);
    }
  }

  /** Undefined where the route was only asked about. */
  async #connect(attempt: Attempt): Promise<Session | TunnelError | undefined> {
    const { driver, route, deadlineMs, clock, log } = this.#options;
    const seconds = Math.round(deadlineMs / 1000);
    const late = new TunnelError('BastionTimeout', `${route.via} did not answer within ${seconds} s`);
    using limit = deadline(deadlineMs, { signal: attempt.abort.signal, clock, reason: () => late });
    const { signal } = limit;
    const onAnswer = (): void => {
      if (attempt.answered || signal.aborted) return;
      attempt.answered = true;
      this.#options.onAnswer();
    };
    try {
      // Not within the call of `start`: whoever starts attempts is in the middle of a decision.
      await Promise.resolve();
      signal.throwIfAborted();
      if (attempt.asksOnly) {
        await driver.checkStandby?.(route, { signal });
        return undefined;
      }
      return await driver.connect(route, { signal, log, onAnswer });
    } catch (cause) {
      return limit.expired ? late : asTunnelError(cause, route.via);
    }
  }

  /** Removes the attempt; false if it was cancelled meanwhile. */
  #take(attempt: Attempt): boolean {
    const index = this.#inFlight.indexOf(attempt);
    if (index === -1) return false;
    this.#inFlight.splice(index, 1);
    return true;
  }
}

/** A driver throws only TunnelErrors; anything else is a bug there, which must not stop the retries. */
export function asTunnelError(cause: unknown, via: string): TunnelError {
  return cause instanceof TunnelError
    ? cause
    : new TunnelError('BastionLost', `the session to ${via} failed in an unforeseen way`, { cause });
}
