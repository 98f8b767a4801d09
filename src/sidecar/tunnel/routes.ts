// The routes of one tunnel: asked of the driver, kept with their attempts, ranked by how they fared, and summed up in one sentence when
// none works. Neighbours: tunnel.ts decides when to try which, route-attempts.ts tries.
import { TunnelError } from '../../contract/errors.ts';
import type { Clock } from '../../process/clock.ts';
import type { Driver } from '../base/driver.ts';
import { RetrySchedule } from './retry-schedule.ts';
import type { RouteAttempts, RouteAttemptsOptions } from './route-attempts.ts';
import { RouteRanking } from './route-ranking.ts';

export interface RoutesOptions {
  readonly driver: Driver;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly attemptsOf: (route: RouteAttemptsOptions['route']) => RouteAttempts;
  readonly onChange: () => void;
}

/** While nothing works, the driver is asked for its routes again after this long, because an instance may have been replaced (docs/promises.md, promise 4). */
const askAgainMs = 5_000;
const askAgainLaterMs = 15_000;
const soonMs = 5 * 60_000;
/** Asking may cost calls of a limited rate: not more often than this, however soon another try is due. */
const askPauseMs = 1_000;
/** One question to the driver may take this long. */
const askDeadlineMs = 15_000;

/** Those of a Secret count as transient only because its files may still come. */
const waitsForPerson = ({ permanent, code }: TunnelError): boolean =>
  permanent || code === 'SecretNotFound' || code === 'SecretKeyMissing';

export class Routes {
  readonly ranking = new RouteRanking();
  readonly #options: RoutesOptions;
  /** In the driver's order of preference. */
  #list: readonly RouteAttempts[] = [];
  #error: TunnelError | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #outageSince = Number.NEGATIVE_INFINITY;
  #asking = false;
  /** When to ask after a failure: as for an attempt to connect. */
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

  /** 0 is the most preferred; a route that the driver names no more comes last. */
  rankOf(via: string): number {
    const rank = this.#list.findIndex((route) => route.via === via);
    return rank === -1 ? this.#list.length : rank;
  }

  /** Nobody carries the clients: asks the driver if it was not asked lately; returns when to call again. `begins`: the outage is new. */
  refresh(now: number, begins = false): number {
    if (begins) this.#outageSince = now;
    const dueAt = begins ? now : this.#dueAt(now);
    if (this.#asking || now < dueAt) return dueAt > now ? dueAt : now + askAgainLaterMs;
    this.#asking = true;
    this.#askedAt = now;
    void this.#ask(now);
    // The answer is a change, after which this is called again.
    return now + askAgainLaterMs;
  }

  #dueAt(now: number): number {
    if (this.#error !== undefined) return Math.max(this.#schedule.nextAt, this.#askedAt + askPauseMs);
    return this.#askedAt + (now - this.#outageSince < soonMs ? askAgainMs : askAgainLaterMs);
  }

  async #ask(startedAt: number): Promise<void> {
    const { driver, signal, clock } = this.#options;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(askDeadlineMs)]);
    try {
      const routes = await driver.routes({ signal: limit });
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
              `which ways lead to the private network could not be found out${limit.aborted ? ` in ${askDeadlineMs / 1000} s` : ''}: look at the network and the DNS where the tunnel runs`,
              { cause },
            );
      this.#schedule.failed(this.#error, startedAt, clock.now());
    } finally {
      this.#asking = false;
    }
    if (!signal.aborted) this.#options.onChange();
  }

  /** Routes that waited because another carried the clients wait no longer, now that none does. */
  hurry(now: number, fresh: boolean, except?: RouteAttempts): void {
    for (const route of this.#list) if (route !== except) route.schedule.hurry(now, fresh);
  }

  /** One has won: attempts over worse routes end, and so do twins of its own that nobody answers; those to `spares` go on. */
  endRace(winner: RouteAttempts, spares: ReadonlySet<string>): void {
    const rank = this.rankOf(winner.via);
    for (const other of this.#list) {
      if (other === winner) other.cancel(true);
      else if (this.rankOf(other.via) > rank && !spares.has(other.via)) other.cancel();
    }
  }

  /** Credentials changed: what failed before says nothing about now. */
  reset(): void {
    this.ranking.reset();
    for (const route of this.#list) {
      route.cancel();
      route.schedule.reset();
    }
    this.#schedule.reset();
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /** True when nothing is under way and every route waits for a person. */
  get hopeless(): boolean {
    if (this.#error !== undefined && this.#list.length === 0) return this.#error.permanent;
    return (
      this.#list.length > 0 && this.#list.every((route) => route.inFlight === 0 && route.lastError?.permanent === true)
    );
  }

  /** True while it is too early to say that no route works: one has no result yet, and those that failed wait for a person. */
  get undecided(): boolean {
    const errors = this.#list.flatMap((route) => route.lastError ?? []);
    return errors.length > 0 && errors.length < this.#list.length && errors.every(waitsForPerson);
  }

  /** Why no route works, in one error: the code of the first that time may mend, the sentences of all. Undefined before any failed. */
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
    for (const route of this.#list) route.cancel();
    await Promise.all(this.#list.map(async (route) => await route.idle()));
  }
}
