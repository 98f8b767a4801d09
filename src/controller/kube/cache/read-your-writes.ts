// Reads that see our own writes: the answers to our writes win over the cache until the watch has caught up. Without it a reconcile right
// after a write would see the old object (and reset `lastTransitionTime`).
// Neighbours: store.ts (the cache), apply/apply.ts and ../../status-writer.ts (record their writes).
import { type Clock, systemClock } from '../../../process/clock.ts';
import { compareResourceVersion, type KubeObject, keyOf, type ObjectKey } from '../base/object.ts';
import { Packer } from './packer.ts';
import type { ReadStore } from './store.ts';

/** After this time a write no longer wins, even if the watch has not caught up. */
const expiryMs = 60_000;

interface Written<T> {
  /** A text where the cache is packed. */
  readonly held: T | string;
  readonly resourceVersion: string | undefined;
  readonly expires: number;
}

export class ReadYourWrites<T extends KubeObject> {
  readonly #store: ReadStore<T>;
  readonly #keep: (object: T) => T;
  readonly #clock: Clock;
  readonly #written = new Map<ObjectKey, Written<T>>();
  /** Where the cache is packed: thousands of writes may wait for their watch. */
  readonly #packer: Packer<T> | undefined;
  /** Uids of deleted objects, for a while: the answer to our write may arrive after the deletion event. */
  readonly #gone = new Map<string, { readonly expires: number }>();

  /** `keep`: what to hold of an object, as the cache's reflector does. Default: all of it. */
  constructor(store: ReadStore<T>, clock: Clock = systemClock, keep: (object: T) => T = (object) => object) {
    this.#store = store;
    this.#keep = keep;
    this.#clock = clock;
    this.#packer = store.packed ? new Packer<T>() : undefined;
    // What somebody else deleted must not live on here: nobody would notice that it must be created again.
    store.onDelete((key, { metadata: { uid } }) => {
      this.forget(key);
      this.#dropExpired();
      if (uid !== undefined) this.#gone.set(uid, { expires: this.#clock.now() + expiryMs });
    });
  }

  /** The newer of our last recorded write and the cache. */
  get(key: ObjectKey): T | undefined {
    const cached = this.#store.get(key);
    const written = this.#written.get(key);
    if (written === undefined) return cached;
    const caughtUp =
      cached !== undefined && compareResourceVersion(cached.metadata.resourceVersion, written.resourceVersion) >= 0;
    if (!caughtUp && this.#clock.now() < written.expires) return this.#unpack(written.held);
    this.#written.delete(key);
    return cached;
  }

  /** Remembers the API server's answer to a write of ours. */
  record(object: T): void {
    this.#dropExpired();
    if (this.#gone.has(object.metadata.uid ?? '')) return;
    const key = keyOf(object.metadata);
    this.#written.delete(key);
    const kept = this.#keep(object);
    this.#written.set(key, {
      held: this.#packer?.pack(kept) ?? kept,
      resourceVersion: object.metadata.resourceVersion,
      expires: this.#clock.now() + expiryMs,
    });
  }

  #unpack(held: T | string): T | undefined {
    return typeof held === 'string' ? this.#packer?.unpack(held) : held;
  }

  /** Forgets a key, because it was deleted. */
  forget(key: ObjectKey): void {
    this.#written.delete(key);
  }

  /** Entries are in the order of their expiry, so this stops at the first that is still good. */
  #dropExpired(): void {
    const now = this.#clock.now();
    for (const entries of [this.#written, this.#gone]) {
      for (const [key, { expires }] of entries) {
        if (expires > now) break;
        entries.delete(key);
      }
    }
  }
}
