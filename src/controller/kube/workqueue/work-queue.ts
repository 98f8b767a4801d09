// The queue between watches and reconciles: keys, not events. A key is in it once, is held by one worker at a time, and
// comes back with growing delays while its reconcile fails. Semantics of controller-runtime's priority queue.
import { onAbort } from '../../../process/abort.ts';
import { backoffDelay } from '../../../process/backoff.ts';
import { type Clock, systemClock } from '../../../process/clock.ts';
import type { KubeMetrics } from '../base/metrics.ts';
import type { ObjectKey } from '../base/object.ts';

/** `low` for first fills and resyncs, so that what a person just changed goes first. */
export type Priority = 'normal' | 'low';

export interface WorkQueueOptions {
  /** The value of the `name` and `controller` labels. */
  readonly name: string;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface Work {
  readonly key: ObjectKey;
  readonly priority: Priority;
}

interface Waiting {
  readonly priority: Priority;
  readonly readyAt: number;
  readonly cancel: () => void;
}

interface Held {
  readonly since: number;
  /** What was added while a worker held the key. */
  again: { readonly priority: Priority; readonly readyAt: number } | undefined;
}

interface Taker {
  readonly give: (work: Work) => void;
}

/** controller-runtime's numbers for its priorities, as the `priority` label. */
const priorityLabel: Readonly<Record<Priority, string>> = { normal: '0', low: '-100' };

const retry = { initialMs: 100, maxMs: 300_000, jitter: 0.1 };

export class WorkQueue {
  readonly name: string;
  readonly #metrics: KubeMetrics;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #labels: { readonly name: string; readonly controller: string };
  /** Ready keys in order of arrival, with the time they became ready. */
  readonly #ready: Readonly<Record<Priority, Map<ObjectKey, number>>> = { normal: new Map(), low: new Map() };
  readonly #waiting = new Map<ObjectKey, Waiting>();
  readonly #held = new Map<ObjectKey, Held>();
  readonly #failures = new Map<ObjectKey, number>();
  readonly #takers = new Set<Taker>();
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.name = options.name;
    this.#metrics = options.metrics;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#labels = { name: options.name, controller: options.name };
    this.#metrics.queueAdds.inc(this.#labels, 0);
    this.#metrics.queueRetries.inc(this.#labels, 0);
    for (const priority of ['normal', 'low'] as const) this.#countDepth(priority);
    this.#metrics.beforeScrape.add(this.#countAges);
  }

  /**
   * Adds a key. Waiting already: the earlier time and the higher priority win. Held by a worker: it is handed out again
   * after `done`. After `close` nothing is added.
   */
  add(key: ObjectKey, options: { readonly priority?: Priority; readonly afterMs?: number } = {}): void {
    if (this.#closed) return;
    const { priority = 'normal', afterMs = 0 } = options;
    const readyAt = this.#clock.now() + Math.max(0, afterMs);
    const held = this.#held.get(key);
    if (held !== undefined) held.again = earlier(held.again, { priority, readyAt });
    else if (this.#ready.normal.has(key)) return;
    else if (this.#ready.low.has(key)) this.#raise(key, priority, afterMs);
    else this.#schedule(key, priority, readyAt);
  }

  /** Adds a key after its next backoff: 100 ms doubling to 5 min, 10 % jitter; until `forget`. */
  addRateLimited(key: ObjectKey, priority: Priority = 'normal'): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#metrics.queueRetries.inc(this.#labels);
    this.add(key, { priority, afterMs: backoffDelay(failures, { ...retry, random: this.#random }) });
  }

  /** Ends the backoff of a key. */
  forget(key: ObjectKey): void {
    this.#failures.delete(key);
  }

  /** The next key, once there is one; the taker calls `done` after it. Rejects with the signal's reason. */
  async take(signal: AbortSignal): Promise<Work> {
    signal.throwIfAborted();
    const next = this.#next();
    if (next !== undefined) return next;
    const { promise, resolve, reject } = Promise.withResolvers<Work>();
    const taker: Taker = { give: resolve };
    this.#takers.add(taker);
    // A taker that was given work is no longer in the set: its work must not be lost to an abort.
    using _ = onAbort(signal, (reason) => {
      if (this.#takers.delete(taker)) reject(reason);
    });
    return await promise;
  }

  /** Gives a key back. */
  done(key: ObjectKey): void {
    const held = this.#held.get(key);
    if (held === undefined) throw new TypeError(`no worker holds ${key}`);
    this.#held.delete(key);
    this.#metrics.workDuration.observe(this.#labels, (this.#clock.now() - held.since) / 1_000);
    if (held.again !== undefined && !this.#closed) this.#schedule(key, held.again.priority, held.again.readyAt);
  }

  /** Drops every key that no worker holds, and every timer. */
  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#waiting.values()) cancel();
    this.#waiting.clear();
    for (const priority of ['normal', 'low'] as const) {
      this.#ready[priority].clear();
      this.#countDepth(priority);
    }
    this.#metrics.beforeScrape.delete(this.#countAges);
  }

  #raise(key: ObjectKey, priority: Priority, afterMs: number): void {
    if (priority === 'low' || afterMs > 0) return;
    this.#ready.low.delete(key);
    this.#countDepth('low');
    this.#makeReady(key, priority);
  }

  #schedule(key: ObjectKey, priority: Priority, readyAt: number): void {
    const waiting = this.#waiting.get(key);
    const first = earlier(waiting, { priority, readyAt });
    if (waiting === undefined) this.#metrics.queueAdds.inc(this.#labels);
    waiting?.cancel();
    this.#waiting.delete(key);
    const delay = first.readyAt - this.#clock.now();
    if (delay <= 0) {
      this.#makeReady(key, first.priority);
      return;
    }
    const cancel = this.#clock.after(delay, () => {
      this.#waiting.delete(key);
      this.#makeReady(key, first.priority);
    });
    this.#waiting.set(key, { ...first, cancel });
  }

  #makeReady(key: ObjectKey, priority: Priority): void {
    this.#ready[priority].set(key, this.#clock.now());
    this.#countDepth(priority);
    const [taker] = this.#takers;
    if (taker === undefined) return;
    const work = this.#next();
    if (work === undefined) return;
    this.#takers.delete(taker);
    taker.give(work);
  }

  #next(): Work | undefined {
    for (const priority of ['normal', 'low'] as const) {
      for (const [key, since] of this.#ready[priority]) {
        this.#ready[priority].delete(key);
        this.#countDepth(priority);
        const now = this.#clock.now();
        this.#metrics.queueDuration.observe(this.#labels, (now - since) / 1_000);
        this.#held.set(key, { since: now, again: undefined });
        return { key, priority };
      }
    }
    return undefined;
  }

  #countDepth(priority: Priority): void {
    this.#metrics.queueDepth.set({ ...this.#labels, priority: priorityLabel[priority] }, this.#ready[priority].size);
  }

  readonly #countAges = (): void => {
    const now = this.#clock.now();
    const ages = [...this.#held.values()].map(({ since }) => (now - since) / 1_000);
    this.#metrics.unfinishedWork.set(
      this.#labels,
      ages.reduce((sum, age) => sum + age, 0),
    );
    this.#metrics.longestRunning.set(this.#labels, Math.max(0, ...ages));
  };
}

type Planned = { readonly priority: Priority; readonly readyAt: number };

function earlier(a: Planned | undefined, b: Planned): Planned {
  if (a === undefined) return b;
  return {
    readyAt: Math.min(a.readyAt, b.readyAt),
    priority: a.priority === 'normal' || b.priority === 'normal' ? 'normal' : 'low',
  };
}
