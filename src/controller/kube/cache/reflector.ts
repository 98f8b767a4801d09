// Keeps a Store equal to what the API server holds of one kind: WatchList or list, then watch forever. It never stops by
// itself: after a failure it pauses and tries again while readers use the old cache. client-go's Reflector is the model.
// Neighbours: replica.ts (changes of the store), rest/kube.ts (list and watch), watches.ts (all reflectors).
import { defined } from '../../../contract/defined.ts';
import { abortable } from '../../../process/abort.ts';
import { Backoff } from '../../../process/backoff.ts';
import { type Clock, sleep, systemClock } from '../../../process/clock.ts';
import { deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import {
  ApiError,
  ApiUnreachable,
  isGone,
  isTooManyRequests,
  ResponseTooLarge,
  type StatusBody,
} from '../base/api-error.ts';
import type { KubeMetrics } from '../base/metrics.ts';
import { type KubeObject, keyOf, type Resource } from '../base/object.ts';
import { initialEventsEnd, type Outline, withoutManagedFields } from '../base/outline.ts';
import type { Kube, Selection } from '../rest/kube.ts';
import type { WatchStream } from '../rest/watch-stream.ts';
import { type Change, type ChangeListener, Replica } from './replica.ts';
import { Store } from './store.ts';

export interface ReflectorOptions<T extends KubeObject> extends Selection {
  readonly kube: Kube;
  readonly resource: Resource<T>;
  /** What is read of an object. It must keep `metadata.{name,namespace,uid,resourceVersion}`. Default: all but `managedFields`. */
  readonly outline?: Outline;
  /** What to keep of what was read; undefined: nothing, as if the object were not there. It must keep the same four. */
  readonly transform?: (object: T) => T | undefined;
  /** Where to put objects; several reflectors (one per namespace) may share a store. */
  readonly store?: Store<T>;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** After this much silence a watch is opened again, in milliseconds. Default: 90 s (bookmarks come every 60 s). */
  readonly idleMs?: number;
}

/** Objects of one page; halved while a page is larger than what a reader takes. */
const pageSize = 500;

/** A watch that ends this soon without an event counts as a failure, so that the next one comes after a pause. */
const tooShortMs = 1_000;

/** After this many error answers to a watch in a row, everything is read anew. */
const maxRefusals = 3;

/** Without a failure for this long, the next one starts with the shortest delay again. */
const backoffResetMs = 120_000;

/** The same after a watch that was open for this long. A balancer that cuts idle connections once a minute is no failing server. */
const aliveMs = 10_000;

export class Reflector<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly store: Store<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #selection: Selection;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Logger;
  readonly #replica: Replica<T>;
  readonly #firstSync = Promise.withResolvers<void>();
  /** Where to continue watching; undefined: everything must be read first. */
  #resourceVersion: string | undefined;
  #lastError: unknown;
  /** When the present watch was opened. */
  #openedAt: number | undefined;
  #pageSize = pageSize;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.resource = options.resource;
    this.store = options.store ?? new Store<T>();
    const { namespace, labelSelector, outline = withoutManagedFields } = options;
    this.#selection = defined({ namespace, labelSelector, outline });
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#log = options.log.child({ resource: options.resource.plural });
    this.#replica = new Replica(this.store, namespace);
  }

  /** True from the first complete read on. */
  get synced(): boolean {
    return this.#replica.filled;
  }

  /** Calls `listener` after each change of the store, in order, on the same turn. Add listeners before `run`; one that throws ends `run`. */
  onChange(listener: ChangeListener<T>): void {
    this.#replica.listeners.push(listener);
  }

  /** Reflects until the signal aborts, then resolves. Rejects only if a listener threw, which is a bug. */
  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: 800, maxMs: 30_000, random: this.#random });
    let failedAt = Number.NEGATIVE_INFINITY;
    let refusals = 0;
    while (!signal.aborted) {
      const before = this.#resourceVersion;
      this.#openedAt = undefined;
      try {
        await this.#listAndWatch(signal);
        refusals = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (this.#replica.broken) throw error;
        this.#lastError = error;
        if (this.#resourceVersion !== before) refusals = 0;
        if (error instanceof ApiError) refusals += 1;
        if (isGone(error) || refusals >= maxRefusals) {
          this.#resourceVersion = undefined;
          refusals = 0;
        }
        const now = this.#clock.now();
        const wasOpenMs = now - (this.#openedAt ?? now);
        if (wasOpenMs >= aliveMs || now - failedAt > backoffResetMs) backoff.reset();
        failedAt = now;
        const delay = backoff.next();
        this.#logFailure(error, delay);
        await sleep(delay, { signal, clock: this.#clock }).catch(() => undefined);
      }
    }
  }

  /** Resolves once `synced`; rejects with the last failure named (nearly always missing RBAC) after `withinMs`, or with the signal's reason. */
  async waitForSync(signal: AbortSignal, withinMs = 120_000): Promise<void> {
    const what = `the first read of ${this.resource.plural}`;
    using limit = deadline(withinMs, { signal, what });
    try {
      await abortable(this.#firstSync.promise, limit);
    } catch (error) {
      signal.throwIfAborted();
      const last = this.#lastError instanceof Error ? `: ${this.#lastError.message}` : '';
      throw new Error(`${what} took longer than ${withinMs} ms${last}`, { cause: this.#lastError ?? error });
    }
  }

  /** Reads everything if needed, then watches until the server ends the watch. */
  async #listAndWatch(signal: AbortSignal): Promise<void> {
    if (this.#resourceVersion === undefined) {
      try {
        await this.#watchList(signal);
        return;
      } catch (error) {
        // After the objects are in, a break is like any watch's. A server that is down or busy would refuse the list too.
        if (this.#resourceVersion !== undefined || signal.aborted || this.#replica.broken) throw error;
        if (error instanceof ApiUnreachable || isTooManyRequests(error)) throw error;
        this.#log.debug({ error }, 'WatchList unavailable, falling back to list');
        await this.#list(signal);
      }
    }
    await this.#watch(signal);
  }

  async #watchList(signal: AbortSignal): Promise<void> {
    this.#options.metrics.reflectorLists.inc({ kind: this.resource.kind });
    const stream = await this.#open(signal, { sendInitialEvents: true });
    const fresh = new Store<T>({ packed: this.store.packed });
    await this.#follow(stream, fresh);
    if (this.#resourceVersion === undefined) throw new Error('the watch ended before all objects had arrived');
  }

  async #list(signal: AbortSignal): Promise<void> {
    this.#options.metrics.reflectorLists.inc({ kind: this.resource.kind });
    const { kube } = this.#options;
    let fresh = new Store<T>({ packed: this.store.packed });
    let limit: number | undefined = this.#pageSize;
    let next: string | undefined;
    for (;;) {
      try {
        const page: Awaited<ReturnType<typeof kube.list<T>>> = await kube.list(
          this.resource,
          {
            ...this.#selection,
            ...defined({ limit, continue: next }),
          },
          { signal },
        );
        for (const object of page.items) this.#fill(fresh, object);
        next = page.continue;
        if (next !== undefined) continue;
        this.#filled(fresh, page.resourceVersion);
        return;
      } catch (error) {
        if (error instanceof ResponseTooLarge && limit !== undefined && limit > 1) {
          this.#pageSize = limit = Math.ceil(limit / 4);
          continue;
        }
        // The token of a slow read expired: read all at once, once.
        if (!isGone(error) || next === undefined) throw error;
        fresh = new Store<T>({ packed: this.store.packed });
        next = undefined;
        limit = undefined;
      }
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const started = this.#clock.now();
    const before = this.#resourceVersion;
    const stream = await this.#open(signal, before === undefined ? {} : { resourceVersion: before });
    await this.#follow(stream, undefined);
    if (this.#resourceVersion === before && this.#clock.now() - started < tooShortMs) {
      throw new Error('the watch ended at once without an event');
    }
  }

  async #open(
    signal: AbortSignal,
    from: { sendInitialEvents?: true; resourceVersion?: string },
  ): Promise<WatchStream<T>> {
    this.#options.metrics.reflectorWatches.inc({ kind: this.resource.kind });
    // A different end for every watch, so that not all of them come back at once.
    const timeoutSeconds = 300 + Math.floor(this.#random() * 301);
    const { kube, idleMs } = this.#options;
    const query = { ...this.#selection, ...from, timeoutSeconds, ...defined({ idleMs }) };
    const stream = await kube.watch(this.resource, query, { signal });
    this.#openedAt = this.#clock.now();
    return stream;
  }

  /** Applies events until the stream ends. With `fresh`, events fill it first, until the server says that this was all. */
  async #follow(stream: WatchStream<T>, fresh: Store<T> | undefined): Promise<void> {
    let filling = fresh;
    for await (const event of stream) {
      this.#options.metrics.reflectorLastActivity.set(
        { kind: this.resource.kind },
        this.#clock.date().getTime() / 1_000,
      );
      if (event.type === 'ERROR') {
        const status = event.object as StatusBody;
        throw new ApiError(`watching ${this.resource.plural}`, status.code ?? 500, status);
      }
      const { type, object } = event;
      const { resourceVersion, annotations } = object.metadata;
      if (type === 'BOOKMARK') {
        if (filling === undefined) this.#resourceVersion = resourceVersion;
        else if (annotations?.[initialEventsEnd] === 'true') {
          this.#filled(filling, resourceVersion ?? '');
          filling = undefined;
        }
        continue;
      }
      const key = keyOf(object.metadata);
      if (filling === undefined) {
        const kept = this.#keep(object);
        // What is no longer kept is gone for us.
        if (type === 'DELETED' || kept === undefined) this.#replica.delete(key, kept ?? object);
        else this.#replica.set(key, kept);
        this.#resourceVersion = resourceVersion;
      } else if (type === 'DELETED') filling.delete(key);
      else this.#fill(filling, object);
    }
  }

  #filled(fresh: Store<T>, resourceVersion: string): void {
    this.#replica.replace(fresh);
    this.#resourceVersion = resourceVersion;
    this.#firstSync.resolve();
    this.#log.debug({ objects: this.store.size, resourceVersion }, 'the cache is filled');
  }

  #fill(fresh: Store<T>, object: T): void {
    const key = keyOf(object.metadata);
    const kept = this.#keep(object);
    if (kept === undefined) fresh.delete(key);
    else fresh.set(key, kept);
  }

  #keep(object: T): T | undefined {
    const { transform } = this.#options;
    const kept = transform === undefined ? object : transform(object);
    return this.store.packed ? kept : this.store.texts.share(kept);
  }

  #logFailure(error: unknown, delayMs: number): void {
    const fields = { error, retryInMs: Math.round(delayMs) };
    // A server that goes away and comes back is normal; not being allowed to read is not.
    if (error instanceof ApiError && !isGone(error)) this.#log.warn(fields, 'the API server refuses the watch');
    else this.#log.info(fields, 'the watch ended, opening it again');
  }
}

export type { Change };
