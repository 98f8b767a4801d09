// Keeps sessions alive over time (docs/promises.md, promises 4 and 5). One method decides: whatever happens (a session opened, lost, fell
// silent; an attempt failed; credentials changed; a timer fired), #decide looks at the whole state and starts what is due. Nothing is planned
// ahead, so no event can be missed. Neighbours: routes.ts opens sessions, session-pool.ts holds them, dialer.ts dials over them.
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Session } from '../base/driver.ts';
import { Activity } from './activity.ts';
import { Dialer, type Dialled, whenClosed } from './dialer.ts';
import { Renewal } from './permission-recheck.ts';
import { provenLifeMs } from './retry-schedule.ts';
import { type AttemptOutcome, asTunnelError, RouteAttempts } from './route-attempts.ts';
import { Routes } from './routes.ts';
import { Upkeep } from './session-planner.ts';
import { type PooledSession, SessionPool } from './session-pool.ts';
import { sessionSource } from './session-source.ts';
import { snapshotAfter, type TunnelSnapshot } from './snapshot.ts';
import { judgeTrial, type TrialOptions } from './trial.ts';
import type { TunnelOptions } from './tunnel-options.ts';

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
  readonly #renewal: Renewal;
  readonly #trials: TrialOptions;
  /** Counts changes of the credentials, and of what a fresh session may do; sessions of an older generation are replaced by newer ones. */
  #generation = 0;
  #cancelTimer: (() => void) | undefined;
  #snapshot: TunnelSnapshot;

  constructor(options: TunnelOptions) {
    const { driver, clock, connectTimeoutMs, attemptTimeoutMs, drainTimeoutMs, observer } = options;
    this.#options = options;
    this.#activity = new Activity({ ...options, onChange: () => this.#activityChanged() });
    this.#snapshot = { state: this.#activity.active ? 'Connecting' : 'Idle', since: clock.date() };
    this.#renewal = new Renewal(clock, connectTimeoutMs);
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
      clock,
      ...(options.random === undefined ? {} : { random: options.random }),
      onChange: () => this.#decide(),
      attemptsOf: (route) => {
        const attempts: RouteAttempts = new RouteAttempts({
          ...options,
          route,
          random: options.random ?? Math.random,
          deadlineMs: (attemptTimeoutMs ?? connectTimeoutMs) + attemptGraceMs,
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
    this.#trials = { ...options, pool: this.#pool, routes: this.#routes, renewal: this.#renewal };
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
      whenClosed(dialled.stream, () => this.#activity.clientLeft());
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
    const isWanted = this.#activity.active && !this.#ended.signal.aborted && !session.signal.aborted;
    const part = isWanted ? this.#upkeep.partFor(route.via, generation) : undefined;
    if (part === undefined) {
      this.#pool.close(session);
      this.#decide();
      return;
    }
    route.lastError = undefined;
    this.#upkeep.sparesWanted.delete(route.via);
    const entry = this.#pool.add(session, part, generation);
    observer.sessionOpened();
    log.info({ via: session.via, part, ...session.facts }, 'session opened');
    if (part === 'trial') void judgeTrial(entry, this.#trials);
    if (part !== 'spare') this.#routes.endRace(route, this.#upkeep.sparesWanted);
    this.#decide();
  }

  #failed(route: RouteAttempts, error: TunnelError, { startedAt }: AttemptOutcome): void {
    const { clock, log, observer } = this.#options;
    const now = clock.now();
    // What has had its one connection keeps its place only until another is there; if none comes, that is an outage.
    for (const spent of this.#pool.spent()) this.#pool.retire(spent);
    const carried = this.#pool.usable().length > 0;
    const isNews = route.lastError?.message !== error.message;
    route.schedule.failed(error, startedAt, now, carried);
    this.#upkeep.sparesWanted.delete(route.via);
    this.#markFailed(route.via, error);
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
    // One that was replaced in all but name says nothing of its route, which has another session.
    if (entry.role !== 'retired' && !(entry.session.suspect && this.#pool.isUp(entry.via))) {
      const route = this.#routes.get(entry.via);
      route?.schedule.lost(error, lived, now, this.#pool.usable().length > 0);
      this.#markFailed(entry.via, error);
      if (this.#pool.usable().length === 0) this.#routes.hurry(now, lived >= provenLifeMs, route);
    }
    this.#decide();
  }

  #suspectChanged(entry: PooledSession): void {
    const { suspect } = entry.session;
    this.#options.log.info(
      { via: entry.via, suspect, streams: entry.carried },
      suspect ? 'session fell silent' : 'session answers again',
    );
    if (!suspect) {
      const route = this.#routes.get(entry.via);
      if (route !== undefined) route.lastError = undefined;
    } else if (entry.role !== 'retired' && !this.#pool.isUp(entry.via)) {
      this.#markFailed(
        entry.via,
        entry.session.suspectBecause ??
          new TunnelError(
            'BastionTimeout',
            `${entry.via} stopped answering: it is tried again; if it stays, look at it and at the network between`,
          ),
      );
      if (this.#pool.usable().length === 0) this.#routes.hurry(this.#options.clock.now(), true);
    }
    this.#decide();
  }

  /** A route that no session is up on goes last for a while, and tells why. */
  #markFailed(via: string, error: TunnelError): void {
    if (this.#pool.isUp(via)) return;
    this.#routes.ranking.failed(via, this.#options.clock.now());
    const route = this.#routes.get(via);
    if (route !== undefined) route.lastError = error;
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
    if (!this.#renewal.prohibited(entry, forward, this.#generation + 1)) return;
    this.#generation += 1;
    this.#decide();
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
    const isActive = this.#activity.active;
    const error = this.#routes.undecided ? undefined : this.#routes.error;
    this.#snapshot = snapshotAfter(this.#snapshot, this.#options.clock.date(), best, isActive, error);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
