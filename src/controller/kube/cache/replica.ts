// The write side of a reflector's Store: turns "this is the object now" and "these are all objects" into the smallest set of changes, and
// calls the listeners for each.
// Neighbours: reflector.ts (writes), store.ts (holds).
import type { KubeObject, ObjectKey } from '../base/object.ts';
import type { Store } from './store.ts';

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

export type ChangeListener<T extends KubeObject> = (change: Change<T>) => void;

export class Replica<T extends KubeObject> {
  readonly listeners: ChangeListener<T>[] = [];
  readonly #store: Store<T>;
  readonly #namespace: string | undefined;
  #filled = false;
  #broken = false;

  /** `namespace`: the only part of a shared store that is ours. */
  constructor(store: Store<T>, namespace: string | undefined) {
    this.#store = store;
    this.#namespace = namespace;
  }

  /** True once `replace` was called. */
  get filled(): boolean {
    return this.#filled;
  }

  /** True once a listener threw: what it missed cannot be repeated. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Puts an object in. Another uid under the same key means that the old object is gone; the same resourceVersion means nothing happened. */
  set(key: ObjectKey, object: T): void {
    const previous = this.#store.get(key);
    if (previous !== undefined && previous.metadata.uid !== object.metadata.uid) this.delete(key, previous);
    else if (previous?.metadata.resourceVersion === object.metadata.resourceVersion && previous !== undefined) return;
    const replaced = this.#store.set(key, object);
    this.#tell({ type: replaced === undefined ? 'added' : 'updated', key, object, previous: replaced });
  }

  /** Takes an object out; `last` is how it ended. */
  delete(key: ObjectKey, last: T): void {
    const previous = this.#store.delete(key);
    if (previous === undefined) return;
    // Otherwise the end of an older object of that name would carry the newer one's data.
    this.#tell({
      type: 'deleted',
      key,
      object: previous.metadata.uid === last.metadata.uid ? last : previous,
      previous: undefined,
    });
  }

  /** Makes our part of the store hold exactly `fresh`, which is empty afterwards: the objects are never in memory twice. */
  replace(fresh: Store<T>): void {
    const ours = this.#namespace === undefined ? '' : `${this.#namespace}/`;
    const gone = [...this.#store.keys()].filter((key) => key.startsWith(ours) && !fresh.has(key));
    for (const key of gone) {
      const previous = this.#store.get(key);
      if (previous !== undefined) this.delete(key, previous);
    }
    for (const key of fresh.keys()) {
      const object = fresh.delete(key);
      if (object !== undefined) this.set(key, object);
    }
    this.#filled = true;
  }

  #tell(change: Omit<Change<T>, 'initial'>): void {
    try {
      for (const listener of this.listeners) listener({ ...change, initial: !this.#filled });
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }
}
