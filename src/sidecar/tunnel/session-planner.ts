// What a tunnel does next: the one owner of "which sessions are wanted". It looks at sessions, routes and the time, starts what is due and
// says when to look again. It keeps no plan, so it may run after any event. Neighbours: tunnel.ts runs it, session-pool.ts and routes.ts
// are what it looks at, session-source.ts requests spares for clients.
import { abortable } from '../../process/abort.ts';
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { RouteAttempts } from './route-attempts.ts';
import type { Routes } from './routes.ts';
import { isResponsive, type PooledSession, type Purpose, type SessionPool } from './session-pool.ts';

export interface SessionPlannerOptions {
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly sessionsWanted: number;
  /** Whether routes that are not in use are logged in to now and then. Default: they are not. */
  readonly checksStandbys?: boolean | undefined;
  /** Whether the route in use refuses what is on disk now. */
  readonly isRefused: (via: string) => boolean;
  /** How long a request for a spare stands; longer than one attempt may take. */
  readonly spareTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when a spare is requested; must call `maintain`. */
  readonly onRequest: () => void;
}

/** A session that is wanted over a route. */
export interface WantedSession {
  readonly via: string;
  /** The role that it gets when it is opened; check: none, it is only to show that it can be opened. */
  readonly purpose: Purpose | 'check';
  /** The time before which no attempt is started, however soon the route may be tried. */
  readonly from: number;
}

interface SpareRequest {
  readonly until: number;
  readonly answered: Promise<void>;
  readonly answer: () => void;
}

/** Several routes are tried one after the other, each this much later, or at once if the one before has failed already. */
const staggerMs = 250;
/** A spare is ended after this long without a dial. */
const unusedSpareMs = 60_000;
/** Upper bound between two runs, a safety net against a missed timer. */
const longestMs = 60_000;
const never = Number.POSITIVE_INFINITY;

const hasRoom = ({ session }: PooledSession): boolean => session.hasRoom;

export class SessionPlanner {
  readonly #options: SessionPlannerOptions;
  /** By route. A client waits for each, or did until it left. */
  readonly #spareRequests = new Map<string, SpareRequest>();
  /** Counts changes of the credentials, and of what a fresh session may do. */
  #credentialsGeneration = 0;

  constructor(options: SessionPlannerOptions) {
    this.#options = options;
  }

  get credentialsGeneration(): number {
    return this.#credentialsGeneration;
  }

  /** From now on the open sessions must be replaced by fresh ones. */
  startGeneration(): void {
    this.#credentialsGeneration += 1;
  }

  /** The session that stands for the tunnel: the newest credentials, then the most preferred route. Undefined during an outage. */
  best(): PooledSession | undefined {
    const { pool, routes } = this.#options;
    const order = (a: PooledSession, b: PooledSession): number =>
      b.credentialsGeneration - a.credentialsGeneration || routes.rankOf(a.via) - routes.rankOf(b.via);
    return pool.usable().toSorted(order)[0];
  }

  /**
   * The sessions that are wanted beside those that are open, at most one for each route. Attempts are started and cancelled by this list,
   * and a session that has just been opened gets its role from it. The two must agree, because a session that is opened without a role is
   * closed, and the attempt that opened it would be made again, without end; so there is only this one list.
   */
  wanted(now: number): readonly WantedSession[] {
    const best = this.best();
    return best === undefined ? this.#wantedInOutage(now) : this.#wantedBeside(best, now);
  }

  /** What a session that has just been opened is for; undefined if it is not needed any more. */
  purposeOf(via: string, now: number): WantedSession['purpose'] | undefined {
    return this.wanted(now).find((wanted) => wanted.via === via)?.purpose;
  }

  /**
   * Whether the end of a stream of that session may change what is wanted. Not if the session is busy still, and if there are enough with room:
   * that is every connection of a busy tunnel, and `maintain` would be a tenth of its cost.
   */
  dependsOn({ role, carried }: PooledSession): boolean {
    const usable = this.#options.pool.usable();
    return role !== 'live' || carried === 0 || usable.length < this.#options.sessionsWanted || !usable.every(hasRoom);
  }

  /** Does what is due; returns when to run again at the latest. */
  maintain(now: number): number {
    const promoteAt = this.#promote(now);
    this.#trim(now);
    const spareEndsAt = this.#endUnusedSpares(now);
    const requestEndsAt = this.#answerRequests(now);
    const checkAt = Math.min(
      ...this.#checks()
        .map(({ check }) => check.nextAt)
        .filter((at) => at > now),
    );
    return Math.min(promoteAt, spareEndsAt, requestEndsAt, checkAt, this.#connect(now), now + longestMs);
  }

  /**
   * A session over that route, opened as a spare if there is none; undefined if the attempt fails, the driver no longer names the route,
   * or its time is over. @throws the signal's reason
   */
  async requestSpare(via: string, { signal }: { readonly signal: AbortSignal }): Promise<PooledSession | undefined> {
    const { pool, clock, spareTimeoutMs, onRequest } = this.#options;
    if (!pool.isUp(via)) {
      let request = this.#spareRequests.get(via);
      if (request === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        request = { until: clock.now() + spareTimeoutMs, answered: promise, answer: resolve };
        this.#spareRequests.set(via, request);
        onRequest();
      }
      await abortable(request.answered, { signal });
    }
    return pool.pickVia(via);
  }

  /** Answers every request for a spare: nobody waits any longer. */
  dropRequests(): void {
    for (const { answer } of this.#spareRequests.values()) answer();
    this.#spareRequests.clear();
  }

  /** Every route, the better ones first, each with a head start before the next. */
  #wantedInOutage(now: number): readonly WantedSession[] {
    const { routes } = this.#options;
    let gate = now;
    return routes.ranking.order(routes.list, now).map((route) => {
      const from = gate;
      const startsAt = headStartOf(route, Math.max(gate, route.dueAt(now, true)), now);
      if (startsAt !== undefined) gate = Math.max(gate, startsAt + staggerMs);
      return { via: route.via, purpose: 'live', from };
    });
  }

  /** Newer credentials, the missing twin, a better route, and spares that clients requested. */
  #wantedBeside(best: PooledSession, now: number): readonly WantedSession[] {
    const { pool, routes } = this.#options;
    const trials = pool.withRole('trial');
    const wanted = new Map<string, WantedSession>();
    const want = (via: string, purpose: WantedSession['purpose'], from: number): void => {
      if (routes.get(via) !== undefined && !wanted.has(via)) wanted.set(via, { via, purpose, from });
    };
    if (best.credentialsGeneration < this.#credentialsGeneration) {
      const isOnTrial = trials.some((trial) => trial.credentialsGeneration === this.#credentialsGeneration);
      if (!isOnTrial) want(best.via, 'trial', now);
    } else if (this.#needs().isShort) {
      want(best.via, 'live', now);
    }
    for (const { via } of routes.list.slice(0, routes.rankOf(best.via))) {
      // One better route on trial is enough, and it is the best that could be opened.
      if (trials.some((trial) => trial.via === via)) break;
      want(via, 'trial', routes.ranking.penaltyEndsAt(via));
    }
    for (const via of this.#spareRequests.keys()) want(via, 'spare', now);
    for (const { via, check } of this.#checks()) if (check.nextAt <= now) want(via, 'check', now);
    return [...wanted.values()];
  }

  /** The routes whose state nobody would learn without a login of its own. */
  #checks(): readonly RouteAttempts[] {
    const { pool, routes, checksStandbys = false, isRefused } = this.#options;
    return checksStandbys ? routes.list.filter(({ via }) => !pool.isUp(via) || isRefused(via)) : [];
  }

  /** Whether one more session is needed at the best route, and which sessions are too many: never both. */
  #needs(): { readonly isShort: boolean; readonly surplus: readonly PooledSession[] } {
    const busiestFirst = this.#options.pool.usable().toSorted((a, b) => b.carried - a.carried);
    const firstWithRoom = busiestFirst.findIndex(hasRoom);
    const kept = Math.max(this.#options.sessionsWanted, firstWithRoom + 1);
    return {
      isShort: busiestFirst.length < kept || firstWithRoom === -1,
      // A surplus session is kept while it carries streams.
      surplus: busiestFirst.slice(kept).filter(({ carried }) => carried === 0),
    };
  }

  /** Starts the attempts that are wanted and due, cancels those that are no longer wanted. */
  #connect(now: number): number {
    const { routes } = this.#options;
    const isOutage = this.best() === undefined;
    let nextAt = isOutage ? routes.refresh(now) : never;
    if (!isOutage) routes.endOutage();
    const wanted = this.wanted(now);
    for (const route of routes.list) if (!wanted.some(({ via }) => via === route.via)) route.cancel();
    for (const { via, from, purpose } of wanted) {
      const route = routes.get(via);
      if (route === undefined) continue;
      if (Math.max(from, route.dueAt(now, isOutage)) <= now) {
        route.start(this.#credentialsGeneration, purpose === 'check');
      }
      nextAt = Math.min(nextAt, Math.max(from, route.dueAt(now, isOutage)));
    }
    return nextAt;
  }

  /** Sessions that earned it begin to take dials. */
  #promote(now: number): number {
    const { pool, routes, log } = this.#options;
    let nextAt = never;
    for (const entry of pool.all()) {
      if ((entry.role !== 'trial' && entry.role !== 'spare') || !isResponsive(entry)) continue;
      const best = this.best();
      if (best !== undefined) {
        if (entry.role === 'spare' || !entry.proved) continue;
        const isBetter = routes.rankOf(entry.via) < routes.rankOf(best.via);
        const trustedAt = isBetter ? routes.ranking.trustedAt(entry.via, entry.openedAt) : now;
        if (trustedAt > now) {
          nextAt = Math.min(nextAt, trustedAt);
          continue;
        }
      }
      pool.promote(entry);
      log.info({ via: entry.via }, 'new connections go over this session now');
    }
    return nextAt;
  }

  /** Retires what is replaced or too much. */
  #trim(now: number): void {
    const { pool, routes, sessionsWanted } = this.#options;
    const best = this.best();
    if (best === undefined) return;
    for (const entry of pool.withRole('live')) {
      const isReplaced = entry.via !== best.via || entry.credentialsGeneration < best.credentialsGeneration;
      if (isReplaced) pool.retire(entry);
    }
    // The engine tells the end of its last client, but not if it came and went within one of its rounds.
    for (const entry of pool.withRole('retired')) if (entry.carried === 0) pool.end(entry);
    if (pool.usable().some(hasRoom)) for (const entry of pool.spent()) pool.retire(entry);
    const { length } = pool.usable();
    for (const entry of this.#needs().surplus) {
      // Opened in vain: whatever asked for it must not ask again without a pause.
      if (!entry.proved) routes.get(entry.via)?.schedule.unneeded(now);
      pool.retire(entry);
    }
    // Idle unresponsive sessions may linger for an hour, one after the other; with Session Manager each occupies one of the node's few slots.
    const silent = pool.withRole('live').filter((entry) => !isResponsive(entry) && entry.carried === 0);
    if (length >= sessionsWanted) for (const entry of silent) pool.retire(entry);
  }

  #endUnusedSpares(now: number): number {
    const { pool } = this.#options;
    let nextAt = never;
    for (const spare of pool.withRole('spare')) {
      const endsAt = spare.carried > 0 ? never : spare.lastUsedAt + unusedSpareMs;
      if (endsAt <= now) pool.end(spare);
      else nextAt = Math.min(nextAt, endsAt);
    }
    return nextAt;
  }

  /** A request ends with a session over its route, with a failure of the route, with the route, and with its time. */
  #answerRequests(now: number): number {
    const { pool, routes } = this.#options;
    let nextAt = never;
    for (const [via, { until, answer }] of this.#spareRequests) {
      const isOver = until <= now || routes.get(via) === undefined || routes.ranking.isPenalized(via, now);
      if (isOver || pool.isUp(via)) {
        this.#spareRequests.delete(via);
        answer();
      } else {
        nextAt = Math.min(nextAt, until);
      }
    }
    return nextAt;
  }
}

/** When the route's head start before the next one begins; undefined if it needs none, because it has failed already and is not due yet. */
function headStartOf(route: RouteAttempts, startsAt: number, now: number): number | undefined {
  if (route.firstStartedAt !== undefined) return route.firstStartedAt;
  if (startsAt <= now) return now;
  return route.lastError === undefined ? startsAt : undefined;
}
