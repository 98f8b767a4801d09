// The workers: takes keys from a WorkQueue, calls `reconcile`, and turns its outcome into the queue's next step as
// controller-runtime does.
// Neighbours: work-queue.ts (keys), reconcile.ts (the work).
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, systemClock } from '../../../process/clock.ts';
import { DeadlineExceeded, deadline, outlasting } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import { isConflict } from '../base/api-error.ts';
import type { KubeMetrics } from '../base/metrics.ts';
import { nameOf, type ObjectKey } from '../base/object.ts';
import type { Work, WorkQueue } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborts at the deadline, and at the end of the drain time of a stopping process. */
  readonly signal: AbortSignal;
  /** Carries controller, namespace, name and reconcileID. */
  readonly log: Logger;
}

/**
 * Empty: done. `requeueAfterMs`: reconcile again after this time at the latest. `failure`: not everything was done, so reconcile again
 * after backoff too. A thrown error means the same as `failure`.
 */
export interface ReconcileResult {
  readonly requeueAfterMs?: number;
  readonly failure?: Error;
}

export type Reconcile = (key: ObjectKey, context: ReconcileContext) => Promise<ReconcileResult>;

export interface ControllerOptions {
  /** The value of the `controller` label. */
  readonly name: string;
  readonly group: string;
  readonly kind: string;
  /** Belongs to the controller from now on: `run` closes it. */
  readonly queue: WorkQueue;
  readonly reconcile: Reconcile;
  /** Number of workers. Default: 10. */
  readonly concurrency?: number;
  /** Limit of one reconcile in milliseconds. Default: 60 s. */
  readonly deadlineMs?: number;
  /** How long running reconciles may go on after `run`'s signal aborted, in milliseconds. Default: 10 s. */
  readonly drainMs?: number;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
}

/**
 * How long passes may follow each other until timers and sockets have their turn, in milliseconds. A pass that finds nothing to do waits
 * for nothing: the thousands after a restart would keep the renewal of the Lease, the probes and a user's change waiting for seconds.
 */
const turnMs = 20;

export class Controller {
  /** When timers and sockets last had their turn. */
  #turnedAt: number;
  #turn: Promise<void> | undefined;
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #label: { readonly controller: string };
  readonly #log: Logger;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#turnedAt = this.#clock.now();
    this.#label = { controller: options.name };
    this.#log = options.log.child({
      controller: options.name,
      controllerGroup: options.group,
      controllerKind: options.kind,
    });
    this.#initMetrics();
  }

  /** Works until the signal aborts, lets running reconciles end (at most `drainMs`), closes the queue, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const { concurrency = 10, drainMs = 10_000, queue } = this.#options;
    try {
      if (signal.aborted) return;
      await outlasting(drainMs, { signal, clock: this.#clock }, async (drainExpired) => {
        await Promise.all(Array.from({ length: concurrency }, () => this.#work(signal, drainExpired)));
      });
    } finally {
      queue.close();
    }
  }

  async #work(signal: AbortSignal, drainExpired: AbortSignal): Promise<void> {
    const { queue } = this.#options;
    while (!signal.aborted) {
      let work: Work;
      try {
        work = await queue.take(signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      try {
        await this.#reconcileOne(work, drainExpired);
      } finally {
        queue.done(work.key);
      }
      if (this.#clock.now() - this.#turnedAt >= turnMs) await (this.#turn ??= this.#takeTurn());
    }
  }

  /** Lets timers and sockets have their turn. All workers wait for the same one: each with its own would have `turnMs` after the other. */
  async #takeTurn(): Promise<void> {
    await nextTurn();
    this.#turnedAt = this.#clock.now();
    this.#turn = undefined;
  }

  async #reconcileOne({ key, priority }: Work, drainExpired: AbortSignal): Promise<void> {
    const { queue, reconcile, metrics, deadlineMs = 60_000 } = this.#options;
    const log = this.#log.child({ ...nameOf(key), reconcileID: randomUUID() });
    const started = this.#clock.now();
    using limit = deadline(deadlineMs, { signal: drainExpired, what: `the reconcile of ${key}` });
    metrics.activeWorkers.inc(this.#label);
    try {
      const { requeueAfterMs, failure } = await reconcile(key, { signal: limit.signal, log });
      if (requeueAfterMs !== undefined) queue.add(key, { priority, afterMs: requeueAfterMs });
      if (failure !== undefined) throw failure;
      queue.forget(key);
      const result = requeueAfterMs === undefined ? 'success' : 'requeue_after';
      metrics.reconcileTotal.inc({ ...this.#label, result });
    } catch (error) {
      this.#countFailure(error, log);
      queue.addRateLimited(key, priority);
    } finally {
      metrics.activeWorkers.dec(this.#label);
      metrics.reconcileTime.observe(this.#label, (this.#clock.now() - started) / 1_000);
    }
  }

  #countFailure(error: unknown, log: Logger): void {
    const { metrics } = this.#options;
    metrics.reconcileTotal.inc({ ...this.#label, result: 'error' });
    metrics.reconcileErrors.inc(this.#label);
    if (error instanceof DeadlineExceeded) metrics.reconcileTimeouts.inc(this.#label);
    if (isBug(error)) metrics.reconcilePanics.inc(this.#label);
    // A conflict is how concurrent writers notice each other; it is no fault.
    if (isConflict(error)) log.debug({ error }, 'the object changed meanwhile, reconciling again');
    else log.error({ error }, 'the reconcile failed');
  }

  #initMetrics(): void {
    const { metrics, concurrency = 10 } = this.#options;
    for (const result of ['success', 'error', 'requeue', 'requeue_after']) {
      metrics.reconcileTotal.inc({ ...this.#label, result }, 0);
    }
    for (const counter of [
      metrics.reconcileErrors,
      // Stays 0: every failure is tried again.
      metrics.terminalReconcileErrors,
      metrics.reconcilePanics,
      metrics.reconcileTimeouts,
    ]) {
      counter.inc(this.#label, 0);
    }
    metrics.activeWorkers.set(this.#label, 0);
    metrics.maxConcurrentReconciles.set(this.#label, concurrency);
  }
}

/** True for what only a mistake in our code throws, not for errors of the API server or the network. */
function isBug(error: unknown): boolean {
  return (
    !(error instanceof Error) ||
    error instanceof TypeError ||
    error instanceof ReferenceError ||
    error instanceof RangeError
  );
}
