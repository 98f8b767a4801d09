/**
 * The queue between watches and reconciles: keys, not events. A key is in it once, is held by one worker at a time, and
 * comes back with growing delays while its reconcile fails.
 */
import type { Clock } from '../../process/clock.ts';
import type { KubeMetrics } from './metrics.ts';
import type { ObjectKey } from './object.ts';

/** `low` for first fills and resyncs, so that what a person just changed goes first. */
export type Priority = 'normal' | 'low';

export interface WorkQueueOptions {
  readonly name: string;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface Work {
  readonly key: ObjectKey;
  readonly priority: Priority;
}

export class WorkQueue {
  readonly name: string;

  constructor(options: WorkQueueOptions) {
    this.name = options.name;
  }

  /**
   * Adds a key. Waiting already: the earlier time and the higher priority win. Held by a worker: it is handed out again
   * after `done`.
   */
  add(_key: ObjectKey, _options?: { readonly priority?: Priority; readonly afterMs?: number }): void {
    throw new Error('not written yet');
  }

  /** Adds a key after its next backoff: 100 ms doubling to 5 min, 10 % jitter. */
  addRateLimited(_key: ObjectKey, _priority?: Priority): void {
    throw new Error('not written yet');
  }

  /** Ends the backoff of a key. */
  forget(_key: ObjectKey): void {
    throw new Error('not written yet');
  }

  /** The next key, once there is one; the taker calls `done` after it. Rejects with the signal's reason. */
  take(_signal: AbortSignal): Promise<Work> {
    throw new Error('not written yet');
  }

  /** Gives a key back. */
  done(_key: ObjectKey): void {
    throw new Error('not written yet');
  }

  /** Keys ready for a worker now. */
  get depth(): number {
    throw new Error('not written yet');
  }

  /** True when nothing is ready and no worker holds a key (keys with a delay may remain). */
  get idle(): boolean {
    throw new Error('not written yet');
  }
}
