/**
 * The verbs that we use on the API server, typed by resource. One verb is one request of `transport.ts`; caches, applies
 * that skip what is equal, and watches that never end are built on top (`reflector.ts`, `apply.ts`).
 */
import type { Clock } from '../../process/clock.ts';
import type { KubeObject, ObjectName, Resource } from './object.ts';
import type { TokenBucket } from './token-bucket.ts';
import type { Transport } from './transport.ts';
import type { WatchStream } from './watch-stream.ts';

/** Every call ends by its signal or its deadline (milliseconds, all tries together), whichever is first. */
export interface Call {
  readonly signal: AbortSignal;
  readonly deadlineMs?: number;
}

export interface Selection {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ListQuery extends Selection {
  readonly limit?: number;
  /** The token of the page before. */
  readonly continue?: string;
  /** '0' = any version the server has at hand; absent = the newest. */
  readonly resourceVersion?: string;
}

export interface Page<T> {
  readonly items: T[];
  readonly resourceVersion: string;
  readonly continue: string | undefined;
}

export interface WatchQuery extends Selection {
  readonly resourceVersion?: string;
  readonly timeoutSeconds: number;
  /** Ask for the present objects as events first (WatchList). */
  readonly sendInitialEvents?: boolean;
}

export interface ApplyCall extends Call {
  readonly fieldManager: string;
}

/** What a server-side apply sends: the fields that we own and nothing else. */
export type Applied = KubeObject;

export interface WritePolicy {
  /** Called before each try of a write; throws when this process may no longer write (lost leadership). */
  readonly fence?: () => void;
  /** Each write takes a token first. */
  readonly bucket?: TokenBucket;
  readonly clock?: Clock;
}

/** Errors of every verb: `ApiError`, `ApiUnreachable`, `DeadlineExceeded`, the fence's, or the signal's reason. */
export interface Kube {
  /** The object, or undefined if there is none. */
  get<T extends KubeObject>(resource: Resource<T>, name: ObjectName, call: Call): Promise<T | undefined>;
  /** One page; `limit` unset reads everything at once. */
  list<T extends KubeObject>(resource: Resource<T>, query: ListQuery, call: Call): Promise<Page<T>>;
  /** Fails with `isAlreadyExists` if there is one of that name. */
  create<T extends KubeObject>(resource: Resource<T>, object: T, call: Call): Promise<T>;
  /** PUT: `metadata.resourceVersion` makes it fail with `isConflict` when the object changed meanwhile. Only for the Lease. */
  replace<T extends KubeObject>(resource: Resource<T>, object: T, call: Call): Promise<T>;
  /** Server-side apply with force. Fields of earlier applies that `object` no longer has are removed. */
  apply<T extends KubeObject>(resource: Resource<T>, object: Applied, call: ApplyCall): Promise<T>;
  /**
   * Server-side apply of `/status`, which must be complete every time. `metadata.resourceVersion` is required: the
   * snapshot the status was computed from; a newer object answers with `isConflict`, a missing one with `isNotFound`.
   */
  applyStatus<T extends KubeObject>(resource: Resource<T>, object: Applied, call: ApplyCall): Promise<T>;
  /** Merge patch, for the series of Events only. */
  mergePatch<T extends KubeObject>(resource: Resource<T>, name: ObjectName, patch: unknown, call: Call): Promise<T>;
  /** Deletes in the background; with `uid` only that very object. False if it was gone already. */
  delete(resource: Resource, name: ObjectName, call: Call & { readonly uid?: string }): Promise<boolean>;
  /** Opens a watch; the stream ends when the server ends it and throws when it breaks. Resolves with the response's head. */
  watch<T extends KubeObject>(resource: Resource<T>, query: WatchQuery, call: Call): Promise<WatchStream<T>>;
}

/** Verbs over a transport. `writes` applies to create, replace, apply, patch and delete. */
export function kubeOver(_transport: Transport, _writes: WritePolicy = {}): Kube {
  throw new Error('not written yet');
}
