// The routes of one tunnel: named by the driver, kept with their attempts, ranked by how they fared, and summed up in one sentence when
// none works. Neighbours: session-planner.ts decides when to try which, route-attempts.ts tries, tunnel.ts reports how they fare.
import { TunnelError } from '../../contract/errors.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { Driver } from '../base/driver.ts';
import { RetrySchedule } from './retry-schedule.ts';
import type { RouteAttempts, RouteAttemptsOptions } from './route-attempts.ts';
import { RouteRanking } from './route-ranking.ts';

export interface RoutesOptions {
  readonly driver: Driver;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  readonly attemptsOf: (route: RouteAttemptsOptions['route']) => RouteAttempts;
  readonly onChange: () => void;
}

/** While nothing works, the driver is asked for its routes again after this long, because an instance may have been replaced (docs/promises.md, promise 4). */
const queryAgainMs = 5_000;
const queryAgainLaterMs = 15_000;
const soonMs = 5 * 60_000;
/** A query may cost calls of a limited rate: not more often than this, however soon another try is due. */
const queryPauseMs = 1_000;
const queryDeadlineMs = 15_000;

/** Missing Secrets and keys are transient only because they may still appear; until then a person is needed. */
const waitsForPerson = ({ permanent, code }: TunnelError): boolean =>
  permanent || code === 'SecretNotFound' || code === 'SecretUnreadable' || code === 'SecretKeyMissing';

export class Routes {
  readonly ranking = new RouteRanking();
  readonly #options: RoutesOptions;
  /** In the driver's order of preference. */
  #list: readonly RouteAttempts[] = [];
  /** Why the last query failed. */
  #error: TunnelError | undefined;
  #queriedAt = Number.NEGATIVE_INFINITY;
  #isQuerying = false;
  /** When the tunnel lost its last session that takes dials; undefined while it has one. */
  #outageSince: number | undefined;
  /** When to query after a failure: as for an attempt to connect. */
  readonly #schedule: RetrySchedule;

  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#schedule = new RetrySchedule(options.random);
  }

  get list(): readonly RouteAttempts[] {
    return this.#list;
  }

  get(via: string): RouteAttempts | undefined {
    return this.#list.find((route) => route.via === via);
  }

  /** 0 is the most preferred; a route that the driver no longer names comes last. */
  rankOf(via: string): number {
    const rank = this.#list.findIndex((route) => route.via === via);
    return rank === -1 ? this.#list.length : rank;
  }

  /** The route to try for what cannot be reached over `via`; undefined if every other one failed lately. */
  alternativeTo(via: string, now: number): RouteAttempts | undefined {
    const { ranking } = this;
    return ranking.order(this.#list, now).find((route) => route.via !== via && !ranking.isPenalized(route.via, now));
  }

  /** During an outage, queries the driver's routes if due; returns when to call again. */
  refresh(now: number): number {
    const begins = this.#outageSince === undefined;
    this.#outageSince ??= now;
    const dueAt = begins ? now : this.#queryDueAt(now, this.#outageSince);
    if (this.#isQuerying || now < dueAt) return dueAt > now ? dueAt : now + queryAgainLaterMs;
    this.#isQuerying = true;
    this.#queriedAt = now;
    void this.#query(now);
    // The answer is a change, after which this is called again.
    return now + queryAgainLaterMs;
  }

  /** A session runs over that route; if the driver had not named it, such as the gateway of a new peer, it is asked for its routes. */
  follow(via: string): void {
    if (this.get(via) !== undefined || this.#isQuerying) return;
    this.#isQuerying = true;
    void this.#query(this.#options.clock.now());
  }

  /** A session takes dials. */
  endOutage(): void {
    this.#outageSince = undefined;
  }

  #queryDueAt(now: number, outageSince: number): number {
    if (this.#error !== undefined) return Math.max(this.#schedule.nextAt, this.#queriedAt + queryPauseMs);
    return this.#queriedAt + (now - outageSince < soonMs ? queryAgainMs : queryAgainLaterMs);
  }

  async #query(startedAt: number): Promise<void> {
    const { driver, signal, clock } = this.#options;
    using limit = deadline(queryDeadlineMs, { signal, clock, what: 'the query of the routes' });
    try {
      const routes = await driver.routes({ signal: limit.signal });
      this.#error = undefined;
      this.#schedule.reset();
      const known = new Map(this.#list.map((route) => [route.via, route]));
      const vias = new Set(routes.map((route) => route.via));
      this.#list = routes.map((route) => known.get(route.via) ?? this.#options.attemptsOf(route));
      for (const [via, gone] of known) if (!vias.has(via)) gone.cancel();
      this.ranking.keepOnly(vias);
    } catch (cause) {
      this.#error =
        cause instanceof TunnelError
          ? cause
          : new TunnelError(
              'BastionTimeout',
              `the routes to the private network could not be found${limit.expired ? ` within ${queryDeadlineMs / 1000} s` : ''}: check the network and the DNS where the tunnel runs`,
              { cause },
            );
      this.#schedule.failed(this.#error, { startedAt, now: clock.now(), otherSessionCarries: false });
    } finally {
      this.#isQuerying = false;
    }
    if (!signal.aborted) this.#options.onChange();
  }

  /** The last session is gone after it had lived well. `except`: the route that lost it, whose schedule knows already. */
  startNewOutage(now: number, except?: RouteAttempts): void {
    for (const route of this.#list) if (route !== except) route.schedule.startNewOutage(now);
  }

  /** The last session is gone soon after its opening. `except`: the route that lost it, whose schedule knows already. */
  expedite(now: number, except?: RouteAttempts): void {
    for (const route of this.#list) if (route !== except) route.schedule.expedite(now);
  }

  /** A session fell silent: no route waits because a session was opened in vain. */
  endPauses(): void {
    for (const route of this.#list) route.schedule.endPause();
  }

  /** The route goes last for a while, and reports why. */
  markFailed(via: string, error: TunnelError): void {
    this.ranking.failed(via, this.#options.clock.now());
    this.get(via)?.failedWith(error);
  }

  /** Credentials changed: earlier failures say nothing any more. */
  reset(): void {
    this.ranking.reset();
    for (const route of this.#list) {
      route.cancel();
      route.schedule.reset();
      route.check.makeDue();
    }
    this.#schedule.reset();
    this.#queriedAt = Number.NEGATIVE_INFINITY;
  }

  cancelAll(): void {
    for (const route of this.#list) route.cancel();
  }

  /** True when nothing is under way and every route waits for a person. */
  get needsIntervention(): boolean {
    if (this.#error !== undefined && this.#list.length === 0) return this.#error.permanent;
    return (
      this.#list.length > 0 && this.#list.every((route) => route.inFlight === 0 && route.lastError?.permanent === true)
    );
  }

  /** True while it is too early to say that no route works: one has no result yet, and those that failed wait for a person. */
  get isUndecided(): boolean {
    const errors = this.#list.flatMap((route) => route.lastError ?? []);
    return errors.length > 0 && errors.length < this.#list.length && errors.every(waitsForPerson);
  }

  /** Why no route works, in one error: the code of the first that time may fix, the sentences of all. Undefined before any failed. */
  get error(): TunnelError | undefined {
    const errors = this.#list.flatMap((route) => route.lastError ?? []);
    const [first] = errors;
    if (first === undefined || errors.length === 1) return first ?? this.#error;
    const telling = errors.find((error) => !error.permanent) ?? first;
    const sentences = [...new Set(errors.map((error) => error.message))].join('; ');
    return new TunnelError(telling.code, sentences, { cause: telling });
  }

  /** Ends all attempts; resolves when nothing of them is left. */
  async close(): Promise<void> {
    this.cancelAll();
    await Promise.all(this.#list.map(async (route) => await route.idle()));
  }
}
