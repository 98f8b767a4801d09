// What a tunnel does next: looks at sessions, routes and the time, starts what is due and says when to look again. It keeps no plan, so
// it may be run after any event. Neighbours: tunnel.ts runs it, session-pool.ts and routes.ts are what it looks at.
import type { Logger } from '../../process/log.ts';
import type { Routes } from './routes.ts';
import { isResponsive, type PooledSession, type Role, type SessionPool } from './session-pool.ts';

export interface UpkeepOptions {
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly sessionsWanted: number;
  readonly log: Logger;
}

/** Several routes are tried one after the other, each this much later unless the one before has failed already. */
const staggerMs = 250;
/** A session opened only for destinations that the better bastion cannot reach is closed after this long without a dial. */
const spareMs = 60_000;
/** The longest time between two looks: nothing should need it, but a timer that was never set must not stop a tunnel for ever. */
const longestMs = 60_000;
const never = Number.POSITIVE_INFINITY;

const hasRoom = ({ session }: PooledSession): boolean => session.hasRoom;

export class Upkeep {
  /** Routes to which a session is wanted beside the better one's; removed when it is open or failed. */
  readonly sparesWanted = new Set<string>();
  readonly #options: UpkeepOptions;
  /** When the tunnel last lost its last session that takes dials; undefined while it has one. */
  #outageSince: number | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /** Does what is due; returns when to run again at the latest. `generation` counts changes of the credentials. */
  run(now: number, generation: number): number {
    const promoteAt = this.#promote(now);
    const trimAt = this.#trim(now);
    const best = this.best(this.#options.pool.usable());
    const connectAt = best === undefined ? this.#race(now, generation) : this.#improve(best, now, generation);
    return Math.min(promoteAt, trimAt, connectAt, now + longestMs);
  }

  /** The session that stands for the tunnel: the newest credentials, then the most preferred route. */
  best(usable: readonly PooledSession[]): PooledSession | undefined {
    const { routes } = this.#options;
    return usable.toSorted((a, b) => b.generation - a.generation || routes.rankOf(a.via) - routes.rankOf(b.via))[0];
  }

  /** The part of a session that has just been opened; undefined if it is not needed any more. */
  partFor(via: string, generation: number): Exclude<Role, 'retired'> | undefined {
    const { pool, routes, sessionsWanted } = this.#options;
    const usable = pool.usable();
    const best = this.best(usable);
    if (best === undefined) return 'live';
    const distance = routes.rankOf(via) - routes.rankOf(best.via);
    if (generation > best.generation || distance < 0) return 'trial';
    if (distance > 0) return this.sparesWanted.has(via) ? 'spare' : undefined;
    return usable.length < sessionsWanted || !usable.some(hasRoom) ? 'live' : undefined;
  }

  /** Sessions that earned it begin to take dials. */
  #promote(now: number): number {
    const { pool, routes, log } = this.#options;
    let nextAt = never;
    for (const entry of pool.all()) {
      if ((entry.role !== 'trial' && entry.role !== 'spare') || !isResponsive(entry)) continue;
      const best = this.best(pool.usable());
      if (best !== undefined) {
        if (entry.role === 'spare' || !entry.proved) continue;
        const isBetter = routes.rankOf(entry.via) < routes.rankOf(best.via);
        const trustedAt = isBetter ? routes.ranking.trustedAt(entry.via, entry.openedAt) : now;
        if (trustedAt > now) {
          nextAt = Math.min(nextAt, trustedAt);
          continue;
        }
      }
      pool.setRole(entry, 'live');
      log.info({ via: entry.via }, 'new connections go over this session now');
    }
    return nextAt;
  }

  /** Retires what is replaced or too much, ends what nobody uses. */
  #trim(now: number): number {
    const { pool, sessionsWanted } = this.#options;
    const best = this.best(pool.usable());
    if (best !== undefined) {
      for (const entry of pool.withRole('live')) {
        if (entry.via !== best.via || entry.generation < best.generation) pool.retire(entry);
      }
      if (pool.usable().some(hasRoom)) for (const entry of pool.spent()) pool.retire(entry);
      // One more than was wanted does no harm while it carries streams.
      const busiestFirst = pool.usable().toSorted((a, b) => b.carried - a.carried);
      const kept = Math.max(sessionsWanted, busiestFirst.findIndex(hasRoom) + 1);
      for (const entry of busiestFirst.slice(kept)) if (entry.carried === 0) pool.retire(entry);
      // Silent ones may be so for an hour, and one after the other: with Session Manager each is one of the few that a node carries.
      const replaced = pool.withRole('live').filter((entry) => !isResponsive(entry) && entry.carried === 0);
      if (busiestFirst.length >= sessionsWanted) for (const entry of replaced) pool.retire(entry);
    }
    let nextAt = never;
    for (const spare of pool.withRole('spare')) {
      const endsAt = spare.carried > 0 ? never : spare.lastUsedAt + spareMs;
      if (endsAt <= now) pool.end(spare);
      else nextAt = Math.min(nextAt, endsAt);
    }
    return nextAt;
  }

  /** No session takes dials: every route is tried, the better ones first. */
  #race(now: number, generation: number): number {
    const { routes } = this.#options;
    const begins = this.#outageSince === undefined;
    this.#outageSince ??= now;
    let nextAt = routes.refresh(now, begins);
    let gate = this.#outageSince;
    for (const route of routes.ranking.order(routes.list, now)) {
      const startsAt = Math.max(gate, route.dueAt(now, true));
      if (startsAt <= now) {
        route.start(generation);
        nextAt = Math.min(nextAt, route.dueAt(now, true));
      } else {
        nextAt = Math.min(nextAt, startsAt);
      }
      // The next route gives this one a start, unless this one has failed already.
      if (route.inFlight > 0) gate = Math.max(gate, route.firstStartedAt + staggerMs);
      else if (route.lastError === undefined) gate = Math.max(gate, startsAt + staggerMs);
    }
    return nextAt;
  }

  /** Clients are carried: newer credentials, the missing twin, a better route and wanted spares are sought without hurry. */
  #improve(best: PooledSession, now: number, generation: number): number {
    const { pool, routes, sessionsWanted } = this.#options;
    this.#outageSince = undefined;
    const trials = pool.withRole('trial');
    const wanted: { readonly via: string; readonly from: number }[] = [];
    const isFresh = best.generation === generation;
    const usable = pool.usable();
    const isShort = isFresh && (usable.length < sessionsWanted || !usable.some(hasRoom));
    const isStale = !isFresh && !trials.some((trial) => trial.generation === generation);
    if (isShort || isStale) wanted.push({ via: best.via, from: now });
    for (const { via } of routes.list.slice(0, routes.rankOf(best.via))) {
      // One better route on trial is enough, and it is the best that could be opened.
      if (trials.some((trial) => trial.via === via)) break;
      wanted.push({ via, from: routes.ranking.penaltyEndsAt(via) });
    }
    for (const via of this.sparesWanted) wanted.push({ via, from: now });
    let nextAt = never;
    for (const { via, from } of wanted) {
      const route = routes.get(via);
      if (route === undefined) continue;
      const startsAt = Math.max(from, route.dueAt(now, false));
      if (startsAt <= now) route.start(generation);
      else nextAt = Math.min(nextAt, startsAt);
    }
    return nextAt;
  }
}
