// Writes of objects that we own: server-side apply of what differs, and only of that; never a take-over of somebody else’s object.
// Neighbours: subset.ts (what "differs" means), repair.ts (what an apply cannot do), cache/read-your-writes.ts (reads after our writes).
import { defined } from '../../../contract/defined.ts';
import { ApiError, isConflict, isInvalid } from '../base/api-error.ts';
import { hashOf } from '../base/hash.ts';
import {
  controllerOf,
  type KubeObject,
  keyOf,
  nameOf,
  type ObjectKey,
  ownedBy,
  type Resource,
} from '../base/object.ts';
import { withoutManagedFields } from '../base/outline.ts';
import { ReadYourWrites } from '../cache/read-your-writes.ts';
import type { ReadStore } from '../cache/store.ts';
import type { Kube } from '../rest/kube.ts';
import { replaceSpec } from './repair.ts';
import { isSubset } from './subset.ts';

/** An object of that name exists and `owner` does not control it. It is left alone; look again later. */
export class OwnershipConflict extends Error {
  override readonly name = 'OwnershipConflict';
  /** True if it belongs to an earlier object of the owner’s kind and name: the garbage collector is about to remove it. */
  readonly isTransient: boolean;

  constructor(existing: KubeObject, owner: KubeObject) {
    const controller = controllerOf(existing);
    const holder = controller === undefined ? 'nobody' : `${controller.kind} ${controller.name}`;
    super(`${existing.kind} ${keyOf(existing.metadata)} exists already and is controlled by ${holder}`);
    this.isTransient = controller?.kind === owner.kind && controller.name === owner.metadata.name;
  }
}

export interface ApplierOptions<T extends KubeObject> {
  readonly kube: Kube;
  readonly resource: Resource<T>;
  /** The cache to read, normally a reflector's. */
  readonly store: ReadStore<T>;
  /** Never rename it: the old name would own its fields forever. */
  readonly fieldManager: string;
  /** The annotation that holds the hash of what was applied last. */
  readonly hashAnnotation: string;
}

export interface Outcome<T> {
  /** The object as the API server has it now. */
  readonly object: T;
  readonly action: 'unchanged' | 'created' | 'updated';
}

export class Applier<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly #options: ApplierOptions<T>;
  readonly #latest: ReadYourWrites<T>;

  constructor(options: ApplierOptions<T>) {
    this.resource = options.resource;
    this.#options = options;
    this.#latest = new ReadYourWrites(options.store);
  }

  /** The object as far as we know it: our own last write or the cache, whichever is newer. */
  get(key: ObjectKey): T | undefined {
    return this.#latest.get(key);
  }

  /**
   * Makes the live object hold `desired`, with `owner` as its controller. Asks the API server nothing if the cache shows
   * that it does. An object that is being deleted is left alone: its end is a change that brings the key back.
   * @throws OwnershipConflict, or an ApiError with `isConflict` when the object changed or vanished meanwhile
   */
  async apply(desired: KubeObject, owner: KubeObject, signal: AbortSignal): Promise<Outcome<T>> {
    const { kube, resource, hashAnnotation } = this.#options;
    // The cache is filtered by label, so only the API server knows whether a name is free.
    const live = this.#latest.get(keyOf(desired.metadata)) ?? (await kube.get(resource, desired.metadata, { signal }));
    if (live === undefined) {
      const wanted = withAppliedHash(desired, owner, hashAnnotation);
      return { action: 'created', object: await this.#send(wanted, undefined, signal) };
    }
    const change = changeOf(desired, owner, live, hashAnnotation);
    if (change === undefined) return { action: 'unchanged', object: live };
    return { action: 'updated', object: await this.#send(change, live, signal) };
  }

  /** Applies `body`, if need be after a repair of `live`, and remembers the answer. */
  async #send(body: KubeObject, live: T | undefined, signal: AbortSignal): Promise<T> {
    const { kube, resource, fieldManager } = this.#options;
    const send = (): Promise<T> => kube.apply(resource, body, { signal, fieldManager, outline: withoutManagedFields });
    try {
      const applied = send().catch(async (error: unknown) => {
        if (live === undefined || !isInvalid(error) || isOtherUid(error)) throw error;
        await replaceSpec(kube, resource, body, live, signal);
        return send();
      });
      const object = await applied;
      this.#latest.record(object);
      return object;
    } catch (error) {
      if (isConflict(error) || isOtherUid(error)) this.#latest.forget(keyOf(body.metadata));
      // The API server calls a replaced object "invalid" (422) and a vanished one a "conflict" (409); to us both are the latter.
      throw isOtherUid(error) ? new ApiError('apply', 409, { reason: 'Conflict', message: error.message }) : error;
    }
  }

  /** Makes the live object hold `part` besides what was applied, if `owner` controls it. Throws as `apply` does. */
  async merge(key: ObjectKey, part: object, owner: KubeObject, signal: AbortSignal): Promise<void> {
    const { kube, resource, fieldManager } = this.#options;
    const live = this.#latest.get(key);
    if (live === undefined || controllerOf(live)?.uid !== owner.metadata.uid || isSubset(part, live)) return;
    const patch = { ...part, metadata: { uid: live.metadata.uid } };
    const call = { signal, fieldManager, outline: withoutManagedFields };
    this.#latest.record(await kube.mergePatch(resource, nameOf(key), patch, call));
  }

  /** Deletes an object if `owner` controls it; false if there was nothing to do. */
  async delete(key: ObjectKey, owner: KubeObject, signal: AbortSignal): Promise<boolean> {
    const live = this.#latest.get(key);
    if (live === undefined || live.metadata.deletionTimestamp !== undefined) return false;
    const { uid } = live.metadata;
    if (uid === undefined || controllerOf(live)?.uid !== owner.metadata.uid) return false;
    try {
      return await this.#options.kube.delete(this.resource, nameOf(key), { signal, uid });
    } catch (error) {
      // Another object has the name by now.
      if (isConflict(error)) return false;
      throw error;
    } finally {
      this.#latest.forget(key);
    }
  }
}

/** What to apply over a live object; undefined if it is as desired or is being deleted. @throws OwnershipConflict */
function changeOf(
  desired: KubeObject,
  owner: KubeObject,
  live: KubeObject,
  hashAnnotation: string,
): KubeObject | undefined {
  if (controllerOf(live)?.uid !== owner.metadata.uid) throw new OwnershipConflict(live, owner);
  if (live.metadata.deletionTimestamp !== undefined) return undefined;
  const wanted = withAppliedHash(desired, owner, hashAnnotation);
  if (!needsApply(wanted, live, hashAnnotation)) return undefined;
  // The uid turns "update" into "update this very object": it is never re-created by accident.
  return { ...wanted, metadata: defined({ ...wanted.metadata, uid: live.metadata.uid }) };
}

/** True if `wanted` (which carries its hash) must be applied: never applied, changed since, or drifted. */
export function needsApply(wanted: KubeObject, live: KubeObject, hashAnnotation: string): boolean {
  // The hash finds what the subset cannot: fields that we no longer want.
  if (live.metadata.annotations?.[hashAnnotation] !== wanted.metadata.annotations?.[hashAnnotation]) return true;
  return !isSubset(wanted, live);
}

/** `desired` as it is applied: with its controller and the hash of itself. */
export function withAppliedHash(desired: KubeObject, owner: KubeObject, hashAnnotation: string): KubeObject {
  const owned = { ...desired, metadata: { ...desired.metadata, ownerReferences: [ownedBy(owner)] } };
  const annotations = { ...owned.metadata.annotations, [hashAnnotation]: hashOf(owned) };
  return { ...owned, metadata: { ...owned.metadata, annotations } };
}

function isOtherUid(error: unknown): error is ApiError {
  return isInvalid(error) && error.causes.some(({ field }) => field === 'metadata.uid');
}
