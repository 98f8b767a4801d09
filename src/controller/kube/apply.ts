/**
 * Writes of objects that we own: server-side apply of what differs, and only of that; reads that see our own writes at
 * once; never a take-over of somebody else's object.
 */
import type { Kube } from './kube.ts';
import type { KubeObject, ObjectKey, Resource } from './object.ts';
import type { ReadStore } from './store.ts';

/** An object of that name exists and `owner` does not control it. It is left alone; look again later. */
export class OwnershipConflict extends Error {
  override readonly name = 'OwnershipConflict';
}

export interface ApplierOptions<T extends KubeObject> {
  readonly kube: Kube;
  readonly resource: Resource<T>;
  /** The cache to read, normally a reflector's. */
  readonly store: ReadStore<T>;
  /** Never rename it: the old name would own its fields for ever. */
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

  constructor(options: ApplierOptions<T>) {
    this.resource = options.resource;
  }

  /** The object as far as we know it: our own last write or the cache, whichever is newer. */
  get(_key: ObjectKey): T | undefined {
    throw new Error('not written yet');
  }

  /** Makes the live object hold `desired`, as the controller of which `owner` is set. Throws `OwnershipConflict`, or an ApiError with `isConflict` when it changed meanwhile. */
  apply(_desired: KubeObject, _owner: KubeObject, _signal: AbortSignal): Promise<Outcome<T>> {
    throw new Error('not written yet');
  }

  /** Deletes an object if `owner` controls it; false if there was nothing to do. */
  delete(_key: ObjectKey, _owner: KubeObject, _signal: AbortSignal): Promise<boolean> {
    throw new Error('not written yet');
  }
}

/** Whether `desired` (complete, with the hash annotation) must be applied: never applied, changed since, or drifted. */
export function needsApply(_desired: KubeObject, _live: KubeObject | undefined, _hashAnnotation: string): boolean {
  throw new Error('not written yet');
}
