// Keeps sessions alive over time (DESIGN promises 4 and 5). One method decides: whatever happens (a session opened, lost, fell silent;
// an attempt failed; credentials changed; a timer fired), #decide looks at the whole state and starts what is due. Nothing is planned
// ahead, so no event can be missed. Neighbours: routes.ts opens sessions, session-pool.ts holds them, dialer.ts dials over them.
import { type Code, TunnelError } from '../contract/errors.ts';
import type { Forward } from '../contract/tunnel-config.ts';
import type { Clock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import { Activity } from './activity.ts';
import { type Dialled, Dialer } from './dialer.ts';
import type { Driver, Session } from './driver.ts';
import { prove } from './prove.ts';
import { isPermitted, renewalMs } from './renewal.ts';
import { provenLifeMs } from './retry-schedule.ts';
import { type AttemptOutcome, asTunnelError, RouteAttempts } from './route-attempts.ts';
import { Routes } from './routes.ts';
import { type PooledSession, SessionPool } from './session-pool.ts';
import { sessionSource } from './session-source.ts';
import { Upkeep } from './upkeep.ts';

export interface TunnelOptions {
  readonly driver: Driver;
  readonly forwards: readonly Forward[];
  /** Sessions kept to the bastion in use, so that the loss or stall of one hits only its share of the streams. */
  readonly sessionsWanted: number;
  readonly mode: 'Persistent' | 'OnDemand';
  /** OnDemand: how long without a client connection until the sessions are closed. */
  readonly idleTimeoutMs: number;
  /** The limit of one attempt and of one dial; OnDemand holds clients as long. */
  readonly connectTimeoutMs: number;
  /** What the oldest of too many replaced sessions gets before it is ended. */
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly log: Logger;
  readonly observer: TunnelObserver;
}

/** Who counts what happens; see metrics.ts. */
export interface TunnelObserver {
  sessionOpened(): void;
  sessionLost(code: Code): void;
  attemptFailed(code: Code): void;
  dialled(milliseconds: number, failure: Code | undefined): void;
}

export interface TunnelSnapshot {
  readonly state: 'Idle' | 'Connecting' | 'Connected' | 'Failed';
  /** When `state` last changed. */
  readonly since: Date;
  /** The route whose session takes new connections, and its facts. */
  readonly via?: string;
  readonly facts?: Session['facts'];
  /** Why there is no session. */
  readonly error?: TunnelError;
}

/** How long a client is held when there is no session. */
const holdMs = 5_000;
/** The driver ends its attempts itself, with a telling error; this much later they are ended for it. */
const attemptGraceMs = 2_000;

export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #pool: SessionPool;
  readonly #routes: Routes;
  readonly #dialer: Dialer;
  readonly #activity: Activity;
  readonly #listeners = new Set<() => void>();
  readonly #ended = new AbortController();
  readonly #unsubscribe: () => void;
  readonly #upkeep: Upkeep;
  /** Counts changes of the credentials; sessions of an older generation are replaced by newer ones. */
  #generation = 0;
  /** Looks whether a prohibited destination is permitted by now; see renewal.ts. */
  #renewal: { readonly forward: Forward; readonly generation: number } | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;
  #snapshot: TunnelSnapshot;

  constructor(options: TunnelOptions) {
    const { driver, clock, connectTimeoutMs, drainTimeoutMs, observer } = options;
    this.#options = options;
    this.#activity = new Activity({ ...options, onChange: () => this.#activityChanged() });
    this.#snapshot = { state: this.#activity.active ? 'Connecting' : 'Idle', since: clock.date() };
    this.#pool = new SessionPool({
      clock,
      drainTimeoutMs,
      onLost: (entry, reason) => this.#lost(entry, reason),
      onSuspectChange: (entry) => this.#suspectChanged(entry),
      onRelease: () => this.#decide(),
    });
    this.#routes = new Routes({
      driver,
      signal: this.#ended.signal,
      onChange: () => this.#decide(),
      attemptsOf: (route) => {
        const attempts: RouteAttempts = new RouteAttempts({
          ...options,
          route,
          random: options.random ?? Math.random,
          deadlineMs: connectTimeoutMs + attemptGraceMs,
          onSession: (session, outcome) => this.#opened(attempts, session, outcome),
          onFailure: (error, outcome) => this.#failed(attempts, error, outcome),
          onAnswer: () => this.#decide(),
        });
        return attempts;
      },
    });
    this.#upkeep = new Upkeep({
      pool: this.#pool,
      routes: this.#routes,
      sessionsWanted: options.sessionsWanted,
      log: options.log,
    });
    const source = sessionSource({
      pool: this.#pool,
      routes: this.#routes,
      upkeep: this.#upkeep,
      observer,
      ended: this.#ended.signal,
      decide: () => this.#decide(),
      prohibited: (entry, forward) => this.#prohibited(entry, forward),
      onChange: (listener) => this.onChange(listener),
    });
    this.#dialer = new Dialer(source, connectTimeoutMs, clock);
    this.#unsubscribe = driver.onCredentialsChange(() => this.#credentialsChanged());
  }

  /** Begins to connect; never throws: what fails is told by `snapshot` and tried again. */
  start(): void {
    this.#decide();
  }

  get snapshot(): TunnelSnapshot {
    return this.#snapshot;
  }

  /** Every session with its part, for metrics. */
  get sessions(): readonly PooledSession[] {
    return this.#pool.all();
  }

  /** Calls back after every change of snapshot or sessions; returns the unsubscribe. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A client's stream: held while there is no session, and what keeps an OnDemand tunnel open. @throws TunnelError or the signal's reason. */
  async dial(forward: Forward, signal: AbortSignal): Promise<Dialled> {
    this.#activity.clientCame();
    try {
      const hold = this.#options.mode === 'OnDemand' ? this.#options.connectTimeoutMs : holdMs;
      const dialled = await this.#dialer.dial(forward, { signal, holdMs: hold });
      dialled.stream.once('close', () => this.#activity.clientLeft());
      return dialled;
    } catch (error) {
      this.#activity.clientLeft();
      throw error;
    }
  }

  /** A probe's stream: never waits for a session and is no activity. @throws TunnelError or the signal's reason. */
  async probe(forward: Forward, signal: AbortSignal): Promise<Dialled> {
    return await this.#dialer.dial(forward, { signal, holdMs: 0 });
  }

  /** Ends every session and attempt; resolves when nothing of them is left. */
  async close(): Promise<void> {
    this.#ended.abort(new TunnelError('NotConnected', 'the tunnel is stopping'));
    this.#cancelTimer?.();
    this.#activity.close();
    this.#unsubscribe();
    for (const entry of this.#pool.all()) this.#pool.end(entry);
    this.#tell();
    await this.#routes.close();
    await this.#pool.closed();
  }

  // --- what happens ---

  #opened(route: RouteAttempts, session: Session, { generation }: AttemptOutcome): void {
    const { log, observer } = this.#options;
    const part = this.#partFor(route.via, generation);
    if (part === undefined || session.signal.aborted) {
      this.#pool.close(session);
      this.#decide();
      return;
    }
    route.lastError = undefined;
    this.#upkeep.sparesWanted.delete(route.via);
    const entry = this.#pool.add(session, part, generation);
    observer.sessionOpened();
    log.info({ via: session.via, part, ...session.facts }, 'session opened');
    if (part === 'trial') void this.#prove(entry);
    // The race is over for worse routes, and for twins of this attempt that nobody answers.
    if (part !== 'spare') {
      const rank = this.#routes.rankOf(route.via);
      for (const other of this.#routes.list) {
        if (other === route) other.cancel(true);
        else if (this.#routes.rankOf(other.via) > rank && !this.#upkeep.sparesWanted.has(other.via)) other.cancel();
      }
    }
    this.#decide();
  }

  /** The part of a session that has just been opened; undefined if it is not needed any more. */
  #partFor(via: string, generation: number): 'live' | 'trial' | 'spare' | undefined {
    if (this.#ended.signal.aborted || !this.#activity.active) return undefined;
    const usable = this.#pool.usable();
    const current = this.#upkeep.best(usable);
    if (current === undefined) return 'live';
    const better = this.#routes.rankOf(via) - this.#routes.rankOf(current.via);
    if (generation > current.generation || better < 0) return 'trial';
    if (better === 0) return usable.length < this.#options.sessionsWanted ? 'live' : undefined;
    return this.#upkeep.sparesWanted.has(via) ? 'spare' : undefined;
  }

  #failed(route: RouteAttempts, error: TunnelError, { startedAt }: AttemptOutcome): void {
    const { clock, log, observer } = this.#options;
    const now = clock.now();
    const carried = this.#pool.usable().length > 0;
    const isNews = route.lastError?.message !== error.message;
    route.schedule.failed(error, startedAt, now, carried);
    this.#upkeep.sparesWanted.delete(route.via);
    if (!this.#pool.isUp(route.via)) {
      route.lastError = error;
      this.#routes.ranking.failed(route.via, now);
    }
    observer.attemptFailed(error.code);
    log[isNews ? 'info' : 'debug'](
      { via: route.via, code: error.code, reason: error.message },
      'the bastion could not be connected',
    );
    this.#decide();
  }

  #lost(entry: PooledSession, reason: unknown): void {
    const { clock, log, observer } = this.#options;
    const now = clock.now();
    const lived = now - entry.openedAt;
    const error = asTunnelError(reason, entry.via);
    observer.sessionLost(error.code);
    log.info(
      { via: entry.via, code: error.code, reason: error.message, streams: entry.carried, livedMs: Math.round(lived) },
      'session lost',
    );
    if (entry.role !== 'retired') {
      const route = this.#routes.get(entry.via);
      route?.schedule.lost(error, lived, now, this.#pool.usable().length > 0);
      if (!this.#pool.isUp(entry.via)) {
        this.#routes.ranking.failed(entry.via, now);
        if (route !== undefined) route.lastError = error;
      }
      this.#hurry(lived >= provenLifeMs, route);
    }
    this.#decide();
  }

  #suspectChanged(entry: PooledSession): void {
    const { suspect } = entry.session;
    this.#options.log.info(
      { via: entry.via, suspect, streams: entry.carried },
      suspect ? 'session fell silent' : 'session answers again',
    );
    if (suspect && entry.role !== 'retired' && !this.#pool.isUp(entry.via)) {
      this.#routes.ranking.failed(entry.via, this.#options.clock.now());
      const route = this.#routes.get(entry.via);
      if (route !== undefined) route.lastError = new TunnelError('BastionTimeout', `${entry.via} stopped answering`);
      this.#hurry(true, undefined);
    } else if (!suspect) {
      const route = this.#routes.get(entry.via);
      if (route !== undefined) route.lastError = undefined;
    }
    this.#decide();
  }

  /** Routes that waited because another carried the clients wait no longer once none does. */
  #hurry(fresh: boolean, except: RouteAttempts | undefined): void {
    if (this.#pool.usable().length > 0) return;
    const now = this.#options.clock.now();
    for (const route of this.#routes.list) if (route !== except) route.schedule.hurry(now, fresh);
  }

  #credentialsChanged(): void {
    this.#generation += 1;
    this.#options.log.info({ generation: this.#generation }, 'credentials changed');
    this.#routes.reset();
    this.#decide();
  }

  #activityChanged(): void {
    if (!this.#activity.active) {
      this.#options.log.info('no client for the idle timeout: the sessions are closed');
      for (const route of this.#routes.list) route.cancel();
      for (const entry of this.#pool.all()) this.#pool.end(entry);
    }
    this.#decide();
  }

  #prohibited(entry: PooledSession, forward: Forward): void {
    const now = this.#options.clock.now();
    const isDue = now - Math.max(entry.openedAt, this.#renewedAt) >= renewalMs;
    if (!isDue || this.#renewal !== undefined || entry.role !== 'live') return;
    this.#renewedAt = now;
    this.#generation += 1;
    this.#renewal = { forward, generation: this.#generation };
    this.#decide();
  }

  /** False if the fresh session was opened for a destination that is still prohibited: then it replaces nothing. */
  async #isWorthIt(entry: PooledSession): Promise<boolean> {
    const renewal = this.#renewal;
    if (renewal === undefined || entry.generation < renewal.generation) return true;
    this.#renewal = undefined;
    const { clock, connectTimeoutMs } = this.#options;
    const permitted = await isPermitted(entry.session, renewal.forward, { clock, timeoutMs: connectTimeoutMs });
    if (permitted || entry.generation > renewal.generation || entry.session.signal.aborted) return true;
    // Credentials that changed meanwhile have a generation of their own.
    if (this.#generation === renewal.generation) this.#generation -= 1;
    return false;
  }

  async #prove(entry: PooledSession): Promise<void> {
    const { forwards, connectTimeoutMs, clock } = this.#options;
    this.#pool.carry(entry);
    try {
      if (!(await this.#isWorthIt(entry))) {
        this.#pool.end(entry);
        return;
      }
      await prove(entry.session, forwards, { clock, timeoutMs: connectTimeoutMs });
      this.#pool.answered(entry);
    } catch (cause) {
      // A lost session has told so itself.
      if (entry.session.signal.aborted) return;
      const error = asTunnelError(cause, entry.via);
      this.#options.log.info(
        { via: entry.via, code: error.code, reason: error.message },
        'the new session carries no dial and is not used',
      );
      const now = clock.now();
      this.#routes.ranking.failed(entry.via, now);
      this.#routes.get(entry.via)?.schedule.failed(error, entry.openedAt, now, true);
      this.#pool.end(entry);
    } finally {
      this.#pool.release(entry);
    }
  }

  // --- what is done about it ---

  #decide(): void {
    if (this.#ended.signal.aborted) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const now = this.#options.clock.now();
    if (this.#activity.active) {
      const nextAt = this.#upkeep.run(now, this.#generation);
      this.#cancelTimer = this.#options.clock.after(Math.max(0, nextAt - now), () => this.#decide());
    }
    this.#publish();
  }

  #publish(): void {
    const best = this.#upkeep.best(this.#pool.usable());
    const error = best === undefined && this.#activity.active ? this.#routes.error : undefined;
    const state =
      best !== undefined
        ? 'Connected'
        : !this.#activity.active
          ? 'Idle'
          : error !== undefined
            ? 'Failed'
            : 'Connecting';
    const before = this.#snapshot;
    this.#snapshot = {
      state,
      since: state === before.state ? before.since : this.#options.clock.date(),
      ...(best === undefined ? {} : { via: best.via, facts: best.session.facts }),
      ...(error === undefined ? {} : { error }),
    };
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
