/**
 * The workers: takes keys from a WorkQueue, calls `reconcile`, and turns its outcome into the queue's next step as
 * controller-runtime does.
 */
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { KubeMetrics } from './metrics.ts';
import type { ObjectKey } from './object.ts';
import type { WorkQueue } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborts at the deadline, and when a stopping process has no more patience. */
  readonly signal: AbortSignal;
  /** Carries controller, namespace, name and reconcileID. */
  readonly log: Logger;
}

/** Empty: done. `requeueAfterMs`: done, look again then. Thrown `TerminalError`: not tried again. Thrown otherwise: again after backoff. */
export interface ReconcileResult {
  readonly requeueAfterMs?: number;
}

export type Reconcile = (key: ObjectKey, context: ReconcileContext) => Promise<ReconcileResult>;

/** A failure that another try cannot mend; the key comes back with its next change only. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

export interface ControllerOptions {
  /** The value of the `controller` label. */
  readonly name: string;
  readonly group: string;
  readonly kind: string;
  readonly queue: WorkQueue;
  readonly reconcile: Reconcile;
  /** Workers; 10 unless told. */
  readonly concurrency?: number;
  /** Longest reconcile in milliseconds; 60 s unless told. */
  readonly deadlineMs?: number;
  /** How long running reconciles may go on after `run`'s signal aborted, in milliseconds; 10 s unless told. */
  readonly drainMs?: number;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
}

export class Controller {
  constructor(_options: ControllerOptions) {
    throw new Error('not written yet');
  }

  /** Works until the signal aborts, lets running reconciles end, then resolves. */
  run(_signal: AbortSignal): Promise<void> {
    throw new Error('not written yet');
  }
}
