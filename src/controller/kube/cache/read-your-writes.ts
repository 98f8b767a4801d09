// Reads that see our own writes: the answers of our writes laid over a cache until the watch has caught up. Without it
// a reconcile right after a write would work on the past (and reset `lastTransitionTime`).
import { type Clock, systemClock } from '../../../process/clock.ts';
import { compareResourceVersion, type KubeObject, keyOf, type ObjectKey } from '../base/object.ts';
import type { ReadStore } from './store.ts';

/** A watch that has not caught up after this is not waited for any longer. */
const expiryMs = 60_000;

export class ReadYourWrites<T extends KubeObject> {
  readonly #store: ReadStore<T>;
  readonly #clock: Clock;
  readonly #written = new Map<ObjectKey, { readonly object: T; readonly expires: number }>();
  /** The uids of objects that are gone, until when: the answer to a write of ours may come after the news of the deletion. */
  readonly #gone = new Map<string, { readonly expires: number }>();

  constructor(store: ReadStore<T>, clock: Clock = systemClock) {
    this.#store = store;
    this.#clock = clock;
    // What was deleted behind our back must not live on here: nobody would notice that it has to be made again.
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
      cached !== undefined &&
      compareResourceVersion(cached.metadata.resourceVersion, written.object.metadata.resourceVersion) >= 0;
    if (!caughtUp && this.#clock.now() < written.expires) return written.object;
    this.#written.delete(key);
    return cached;
  }

  /** Remembers the API server's answer to a write of ours. */
  record(object: T): void {
    this.#dropExpired();
    if (this.#gone.has(object.metadata.uid ?? '')) return;
    const key = keyOf(object.metadata);
    this.#written.delete(key);
    this.#written.set(key, { object, expires: this.#clock.now() + expiryMs });
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
