// Keeps sessions alive over time (docs/promises.md, promises 4 and 5). One method decides: whatever happens (a session opened, lost, fell
// silent; an attempt failed; credentials changed; a timer fired), #decide has the whole state looked at and starts what is due. Nothing is
// planned ahead, so no event can be missed. This file only turns events into changes of state and takes the snapshot.
// Neighbours, and the state that each of them owns: session-planner.ts (what is wanted), session-pool.ts (sessions and their roles),
// routes.ts (routes, their attempts, schedules and ranking), activity.ts (whether to be open), dialer.ts (what a client is carried by).
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { EarlierDial } from '../base/carrier.ts';
import type { CredentialsVerdict, Session } from '../base/driver.ts';
import { Activity } from './activity.ts';
import { type CarrierSource, Carriers } from './carriers.ts';
import { Dialer, type Dialled, whenClosed } from './dialer.ts';
import { PermissionRecheck } from './permission-recheck.ts';
import { provenLifeMs } from './retry-schedule.ts';
import { type AttemptOutcome, asTunnelError, RouteAttempts } from './route-attempts.ts';
import { Routes } from './routes.ts';
import { SessionPlanner } from './session-planner.ts';
import { type PooledSession, SessionPool, whySuspect } from './session-pool.ts';
import { sessionSource } from './session-source.ts';
import { snapshotAfter, type TunnelSnapshot } from './snapshot.ts';
import { judgeTrial, type TrialOptions } from './trial.ts';
import type { TunnelOptions } from './tunnel-options.ts';

/** How long a client is held when there is no session. */
const holdMs = 5_000;
/** A driver ends its attempts itself, with an exact error. One that it does not end is ended this much later; the wait for a spare ends after this once more. */
const graceMs = 2_000;

export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #pool: SessionPool;
  readonly #routes: Routes;
  readonly #planner: SessionPlanner;
  readonly #dialer: Dialer;
  readonly #carriers: Carriers;
  readonly #activity: Activity;
  readonly #trials: TrialOptions;
  readonly #listeners = new Set<() => void>();
  readonly #ended = new AbortController();
  readonly #unsubscribe: () => void;
  #cancelTimer: (() => void) | undefined;
  #snapshot: TunnelSnapshot;

  constructor(options: TunnelOptions) {
    const { driver, clock, connectTimeoutMs, drainTimeoutMs } = options;
    const attemptMs = (options.attemptTimeoutMs ?? connectTimeoutMs) + graceMs;
    const decide = (): void => this.#decide();
    this.#options = options;
    this.#activity = new Activity({ ...options, onChange: () => this.#activityChanged() });
    this.#snapshot = { state: this.#activity.active ? 'Connecting' : 'Idle', since: clock.date(), routes: [] };
    this.#pool = new SessionPool({
      clock,
      drainTimeoutMs,
      onLost: (entry, reason) => this.#lost(entry, reason),
      onSuspectChange: (entry) => this.#suspectChanged(entry),
      onRelease: (entry) => {
        if (this.#dialer.isAwaited || this.#planner.dependsOn(entry)) this.#decide();
      },
      onBusyChange: (busy) => this.#busyChanged(busy),
    });
    this.#routes = new Routes({
      ...options,
      signal: this.#ended.signal,
      onChange: decide,
      attemptsOf: (route) => {
        const attempts: RouteAttempts = new RouteAttempts({
          ...options,
          route,
          deadlineMs: attemptMs,
          onSession: (session, outcome) => this.#opened(attempts, session, outcome),
          onStandsBy: () => this.#standsBy(attempts, true),
          onFailure: (error, outcome) => this.#failed(attempts, error, outcome),
          onAnswer: decide,
        });
        return attempts;
      },
    });
    const recheck = new PermissionRecheck(clock, connectTimeoutMs);
    const onChange = (listener: () => void) => this.onChange(listener);
    const parts = { ...options, pool: this.#pool, routes: this.#routes, recheck, onChange };
    this.#planner = new SessionPlanner({
      ...parts,
      spareTimeoutMs: attemptMs + graceMs,
      // Only a login shows that what was refused is accepted now.
      isRefused: (via) => driver.checkStandby === undefined && this.#verdict?.refused.has(via) === true,
      onRequest: decide,
    });
    this.#trials = parts;
    const source = sessionSource({ ...parts, planner: this.#planner, ended: this.#ended.signal, decide });
    this.#dialer = new Dialer(source, connectTimeoutMs, clock);
    const onLook = (): void => void (this.#dialer.isAwaited && this.#decide());
    this.#carriers = new Carriers({ ...parts, onLook, preferredVia: (forward) => this.#dialer.preferredVia(forward) });
    this.#unsubscribe = driver.onCredentialsChange(() => this.#credentialsChanged());
  }

  /** Begins to connect; never throws: what fails is reported by `snapshot` and tried again. */
  start(): void {
    this.#decide();
  }

  get snapshot(): TunnelSnapshot {
    return this.#snapshot;
  }

  /** Every session with its role, for metrics. */
  get sessions(): readonly PooledSession[] {
    return this.#pool.all();
  }

  /** Over which of them the native engine carries clients. */
  get carriers(): CarrierSource {
    return this.#carriers;
  }

  /** Calls back after every change of snapshot or sessions; returns the unsubscribe. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A client's stream: held while there is no session; its client keeps an OnDemand tunnel open. @throws TunnelError or the signal's reason. */
  async dial(forward: Forward, signal: AbortSignal, earlier?: EarlierDial): Promise<Dialled> {
    this.#activity.clientCame();
    try {
      const hold = this.#options.mode === 'OnDemand' ? this.#options.connectTimeoutMs : holdMs;
      const dialled = await this.#dialer.dial(forward, { signal, holdMs: hold, earlier });
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
    this.#planner.dropRequests();
    for (const entry of this.#pool.all()) this.#pool.end(entry);
    this.#carriers.close();
    this.#tell();
    await this.#routes.close();
    await this.#pool.closed();
  }

  // --- what happens ---

  #opened(route: RouteAttempts, session: Session, { credentialsGeneration }: AttemptOutcome): void {
    const { clock, log, observer } = this.#options;
    const now = clock.now();
    const role = this.#planner.purposeOf(route.via, now);
    if (role === undefined || role === 'check') {
      this.#pool.close(session);
      if (role === undefined) route.schedule.unneeded(now);
      return this.#standsBy(route, role === 'check');
    }
    route.check.done(now, this.#verdict?.refused.has(route.via));
    route.works();
    route.cancelUnanswered();
    const entry = this.#pool.add(session, role, credentialsGeneration);
    this.#routes.follow(session.via);
    observer.sessionOpened();
    log.info({ via: session.via, role, ...session.facts }, 'session opened');
    if (role === 'trial') void judgeTrial(entry, this.#trials);
    this.#decide();
  }

  /** The route could carry. `isCheck`: that was the question, else nobody asked any more. */
  #standsBy(route: RouteAttempts, isCheck: boolean): void {
    route.check.done(this.#options.clock.now(), this.#verdict?.refused.has(route.via));
    if (isCheck) route.standsBy();
    this.#options.log.debug({ via: route.via }, isCheck ? 'standing by' : 'session opened, but not needed any more');
    this.#decide();
  }

  #failed(route: RouteAttempts, error: TunnelError, { startedAt }: AttemptOutcome): void {
    const { clock, log, observer } = this.#options;
    const now = clock.now();
    // A used-up single-use session counts until its successor is open; if none can be opened, that is an outage.
    for (const spent of this.#pool.spent()) this.#pool.retire(spent);
    const otherSessionCarries = this.#pool.usable().length > 0;
    const isNews = route.lastError?.message !== error.message;
    route.schedule.failed(error, { startedAt, now, otherSessionCarries });
    route.check.done(now);
    this.#markFailed(route.via, error);
    observer.attemptFailed(error.code);
    log[isNews ? 'info' : 'debug'](
      { via: route.via, reason: error.code, message: error.message },
      'the bastion could not be connected',
    );
    this.#decide();
  }

  get #verdict(): CredentialsVerdict | undefined {
    return this.#options.driver.credentialsVerdict?.();
  }

  #lost(entry: PooledSession, cause: unknown): void {
    const { clock, log, observer } = this.#options;
    const now = clock.now();
    const lived = now - entry.openedAt;
    const error = asTunnelError(cause, entry.via);
    observer.sessionLost(error.code);
    const { code: reason, message } = error;
    log.info({ via: entry.via, reason, message, streams: entry.carried, livedMs: Math.round(lived) }, 'session lost');
    // Ignore the loss of a suspect session whose route already has a healthy one.
    if (entry.role !== 'retired' && !(entry.session.suspect && this.#pool.isUp(entry.via))) {
      const route = this.#routes.get(entry.via);
      route?.schedule.lost(error, lived, now, this.#pool.usable().length > 0);
      this.#markFailed(entry.via, error);
      if (this.#pool.usable().length === 0) {
        if (lived >= provenLifeMs) this.#routes.startNewOutage(now, route);
        else this.#routes.expedite(now, route);
      }
    }
    this.#decide();
  }

  #suspectChanged(entry: PooledSession): void {
    const { suspect } = entry.session;
    this.#options.log.info(
      { via: entry.via, suspect, streams: entry.carried },
      suspect ? 'session fell silent' : 'session answers again',
    );
    if (suspect) this.#routes.endPauses();
    else this.#routes.get(entry.via)?.works();
    if (suspect && entry.role !== 'retired' && !this.#pool.isUp(entry.via)) {
      this.#markFailed(entry.via, whySuspect(entry.session));
      if (this.#pool.usable().length === 0) this.#routes.startNewOutage(this.#options.clock.now());
    }
    this.#decide();
  }

  /** Demotes a route without a working session for a minute and stores why. */
  #markFailed(via: string, error: TunnelError): void {
    if (!this.#pool.isUp(via)) this.#routes.markFailed(via, error);
  }

  #credentialsChanged(): void {
    this.#planner.startGeneration();
    this.#options.log.info({ generation: this.#planner.credentialsGeneration }, 'credentials changed');
    this.#routes.reset();
    this.#decide();
  }

  #activityChanged(): void {
    if (!this.#activity.active) {
      this.#options.log.info('no client for the idle timeout: the sessions are closed');
      this.#planner.dropRequests();
      this.#routes.cancelAll();
      for (const entry of this.#pool.all()) this.#pool.end(entry);
    }
    this.#decide();
  }

  /** Clients of the engine keep an OnDemand tunnel open, too. */
  #busyChanged(busy: boolean): void {
    this.#carriers.busyChanged(busy);
    if (busy) this.#activity.clientCame();
    else this.#activity.clientLeft();
  }

  // --- what is done about it ---

  /**
   * Nobody calls this from within itself. What it starts reports later: an attempt begins and ends in later microtasks, a session that is
   * ended has been forgotten before it closes, and its streams close in a later tick. The listeners of `onChange` only resolve promises
   * and start probes, which get as far as `session.dial`. If one did call it, nothing would break: it looks at the whole state again, and
   * each attempt is judged by the state at its own start.
   */
  #decide(): void {
    if (this.#ended.signal.aborted) return;
    const now = this.#options.clock.now();
    const nextAt = this.#activity.active ? this.#planner.maintain(now) : undefined;
    this.#cancelTimer?.();
    this.#cancelTimer =
      nextAt === undefined ? undefined : this.#options.clock.after(Math.max(0, nextAt - now), () => this.#decide());
    this.#publish();
  }

  #publish(): void {
    const planner = this.#planner;
    const seen = { planner, pool: this.#pool, routes: this.#routes, isActive: this.#activity.active };
    this.#snapshot = snapshotAfter(this.#snapshot, this.#options.clock.date(), { ...seen, credentials: this.#verdict });
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
