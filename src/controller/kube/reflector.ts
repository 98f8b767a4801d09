/**
 * Keeps a Store equal to what the API server holds of one kind: WatchList or list, then watch for ever. It never stops by
 * itself; every failure is waited out while the old cache is served.
 */
import type { Clock } from '../../process/clock.ts';
import type { Logger } from '../../process/log.ts';
import type { Kube, Selection } from './kube.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject, ObjectKey, Resource } from './object.ts';
import { type ReadStore, Store } from './store.ts';

export interface Change<T extends KubeObject> {
  readonly type: 'added' | 'updated' | 'deleted';
  readonly key: ObjectKey;
  /** The object as it is now; for `deleted`, as it was last seen. */
  readonly object: T;
  /** For `updated`: as it was before. */
  readonly previous: T | undefined;
  /** True while the cache is first filled: such keys deserve low priority. */
  readonly initial: boolean;
}

export interface ReflectorOptions<T extends KubeObject> extends Selection {
  readonly kube: Kube;
  readonly resource: Resource<T>;
  /** What to keep of an object; `managedFields` are always removed. It must keep `metadata.{name,namespace,uid,resourceVersion}`. */
  readonly transform?: (object: T) => T;
  /** Where to put objects; several reflectors (one per namespace) may share a store. */
  readonly store?: Store<T>;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  readonly clock?: Clock;
}

export class Reflector<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly store: Store<T>;

  constructor(options: ReflectorOptions<T>) {
    this.resource = options.resource;
    this.store = options.store ?? new Store<T>();
  }

  /** True from the first complete read on. */
  get synced(): boolean {
    throw new Error('not written yet');
  }

  /** Calls `listener` after each change of the store, in order, on the same turn. Add listeners before `run`. */
  onChange(_listener: (change: Change<T>) => void): void {
    throw new Error('not written yet');
  }

  /** Reflects until the signal aborts, then resolves. */
  run(_signal: AbortSignal): Promise<void> {
    throw new Error('not written yet');
  }

  /** Resolves once `synced`; rejects with the last failure named (nearly always missing RBAC) after `withinMs`, or with the signal's reason. */
  waitForSync(_signal: AbortSignal, _withinMs?: number): Promise<void> {
    throw new Error('not written yet');
  }
}

export type { ReadStore };
