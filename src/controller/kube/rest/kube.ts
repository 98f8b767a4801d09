// The verbs that we use on the API server, typed by resource. One verb is one request.
// Neighbours: transport.ts (sends it), cache/reflector.ts and apply/apply.ts (built on the verbs).
import { defined } from '../../../contract/defined.ts';
import { DeadlineExceeded } from '../../../process/deadline.ts';
import { ApiError, isNotFound } from '../base/api-error.ts';
import { apiVersionOf, type KubeObject, type ObjectName, type Resource } from '../base/object.ts';
import type { Outline } from '../base/outline.ts';
import type { TokenBucket } from '../base/token-bucket.ts';
import type { ConnectionClass } from './connections.ts';
import { collectionOf, pathOf } from './paths.ts';
import type { ApiRequest, Call, KubeTransport } from './transport.ts';
import { openWatch, type WatchStream } from './watch-stream.ts';
import type { WriteBackoff } from './write-backoff.ts';

export interface Selection {
  /** Default: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  /** What is read of each object. Default: all. */
  readonly outline?: Outline;
}

interface ListQuery extends Selection {
  readonly limit?: number;
  /** The token of the page before. */
  readonly continue?: string;
  /** '0': any version that the server has in its cache. Default: the newest. */
  readonly resourceVersion?: string;
}

interface Page<T> {
  readonly items: T[];
  readonly resourceVersion: string;
  readonly continue: string | undefined;
}

interface WatchQuery extends Selection {
  readonly resourceVersion?: string;
  readonly timeoutSeconds: number;
  /** Ask for the present objects as events first (WatchList). */
  readonly sendInitialEvents?: boolean;
  /** After this much silence the connection counts as dead, in milliseconds. Default: 90 s. */
  readonly idleMs?: number;
}

interface ApplyCall extends Call {
  readonly fieldManager: string;
  /** What is read of the answer. Default: all. */
  readonly outline?: Outline;
}

/** What a server-side apply sends: the fields that we own and nothing else. */
type Applied = KubeObject;

export interface WritePolicy {
  /** Called before each try of a write; throws when this process may no longer write (lost leadership). */
  readonly fence?: () => void;
  /** Each write takes a token first. */
  readonly bucket?: TokenBucket;
  /** Holds writes of objects back whose last one timed out. */
  readonly backoff?: WriteBackoff;
  /** `lease`: a connection of its own and no retries, for the elector. */
  readonly connectionClass?: Extract<ConnectionClass, 'lease'>;
}

/** Errors of every verb: `ApiError`, `ApiUnreachable`, `DeadlineExceeded`, of a write `WriteHeldBack`, the fence's, or the signal's reason. */
export interface Kube {
  /** The object, or undefined if there is none. */
  get<T extends KubeObject>(resource: Resource<T>, name: ObjectName, call: Call): Promise<T | undefined>;
  /** One page; `limit` unset reads everything at once. A page of which more than 8 MiB are kept is `ResponseTooLarge`. */
  list<T extends KubeObject>(resource: Resource<T>, query: ListQuery, call: Call): Promise<Page<T>>;
  /** Fails with `isAlreadyExists` if there is one of that name. With `dryRun` everything is judged and nothing is stored. */
  create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    call: Call & { readonly dryRun?: boolean },
  ): Promise<T>;
  /** PUT: `metadata.resourceVersion` makes it fail with `isConflict` when the object changed meanwhile. Only for the Lease. */
  replace<T extends KubeObject>(resource: Resource<T>, object: T, call: Call): Promise<T>;
  /** Server-side apply with force. Fields of earlier applies that `object` no longer has are removed. */
  apply<T extends KubeObject>(resource: Resource<T>, object: Applied, call: ApplyCall): Promise<T>;
  /**
   * Server-side apply of `/status`, which must be complete every time. `metadata.resourceVersion` is required: the
   * snapshot the status was computed from; a newer object answers with `isConflict`, a missing one with `isNotFound`.
   */
  applyStatus<T extends KubeObject>(resource: Resource<T>, object: Applied, call: ApplyCall): Promise<T>;
  /** Merge patch (RFC 7386): for the series of Events, and where an apply cannot repair (repair.ts). */
  mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    patch: unknown,
    call: Call & Partial<ApplyCall>,
  ): Promise<T>;
  /** Deletes in the background; with `uid` only that very object. False if it was gone already. */
  delete(resource: Resource, name: ObjectName, call: Call & { readonly uid?: string }): Promise<boolean>;
  /** Opens a watch; the stream ends when the server ends it and throws when it breaks. Resolves with the response's head. */
  watch<T extends KubeObject>(resource: Resource<T>, query: WatchQuery, call: Call): Promise<WatchStream<T>>;
}

/** Writes are fenced for this long ahead of the lease's end (elector.ts), so none of them may take longer. */
export const writeDeadlineMs = 5_000;

const readDeadlineMs = 15_000;
const listDeadlineMs = 60_000;
/** The text of a page and what is parsed of it are in memory at the same time. */
const maxPageBytes = 8 << 20;

/** Verbs over a transport. `writes` applies to create, replace, apply, patch and delete. */
export function createKubeClient(transport: KubeTransport, writes: WritePolicy = {}): Kube {
  return new KubeVerbs(transport, writes);
}

class KubeVerbs implements Kube {
  readonly #transport: KubeTransport;
  readonly #writes: WritePolicy;

  constructor(transport: KubeTransport, writes: WritePolicy) {
    this.#transport = transport;
    this.#writes = writes;
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: ObjectName, call: Call): Promise<T | undefined> {
    try {
      const how = defined({ accept: acceptOf(resource, '') });
      return withTypeMeta(resource, await this.#read(pathOf(resource, name), undefined, readDeadlineMs, call, how));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async list<T extends KubeObject>(resource: Resource<T>, query: ListQuery, call: Call): Promise<Page<T>> {
    const parameters = selectionOf(query);
    if (query.limit !== undefined) parameters.set('limit', String(query.limit));
    if (query.continue !== undefined) parameters.set('continue', query.continue);
    if (query.resourceVersion !== undefined) parameters.set('resourceVersion', query.resourceVersion);
    const path = collectionOf(resource, query.namespace);
    const maxBytes = query.limit === undefined ? undefined : maxPageBytes;
    const outline = query.outline === undefined ? undefined : { '*': true, items: query.outline };
    const how = defined({ maxBytes, outline, accept: acceptOf(resource, 'List') });
    const list = (await this.#read(path, parameters, listDeadlineMs, call, how)) as WireList;
    const next = list.metadata?.continue;
    return {
      items: (list.items ?? []).map((item) => withTypeMeta(resource, item)),
      resourceVersion: list.metadata?.resourceVersion ?? '',
      continue: next === undefined || next === '' ? undefined : next,
    };
  }

  async create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    call: Call & { readonly dryRun?: boolean },
  ): Promise<T> {
    const path = collectionOf(resource, object.metadata.namespace);
    const query = defined({ query: call.dryRun === true ? new URLSearchParams({ dryRun: 'All' }) : undefined });
    const request = { method: 'POST', path, ...query, body: object, repeat: 'once' } as const;
    return withTypeMeta(resource, await this.#write(request, call));
  }

  async replace<T extends KubeObject>(resource: Resource<T>, object: T, call: Call): Promise<T> {
    const path = pathOf(resource, object.metadata);
    return withTypeMeta(resource, await this.#write({ method: 'PUT', path, body: object, repeat: 'once' }, call));
  }

  async apply<T extends KubeObject>(resource: Resource<T>, object: Applied, call: ApplyCall): Promise<T> {
    return withTypeMeta(resource, await this.#apply(pathOf(resource, object.metadata), object, call));
  }

  async applyStatus<T extends KubeObject>(resource: Resource<T>, object: Applied, call: ApplyCall): Promise<T> {
    if (object.metadata.resourceVersion === undefined)
      throw new TypeError('a status without resourceVersion could land on another object');
    return withTypeMeta(resource, await this.#apply(`${pathOf(resource, object.metadata)}/status`, object, call));
  }

  async mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    patch: unknown,
    call: Call & Partial<ApplyCall>,
  ): Promise<T> {
    const contentType = 'application/merge-patch+json';
    const path = pathOf(resource, name);
    const { fieldManager, outline } = call;
    const query = fieldManager === undefined ? undefined : new URLSearchParams({ fieldManager });
    const request = { method: 'PATCH', path, body: patch, contentType, repeat: 'idempotent' } as const;
    return withTypeMeta(resource, await this.#write({ ...request, ...defined({ query, outline }) }, call));
  }

  async delete(resource: Resource, name: ObjectName, call: Call & { readonly uid?: string }): Promise<boolean> {
    const body = defined({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
      preconditions: call.uid === undefined ? undefined : { uid: call.uid },
    });
    try {
      await this.#write({ method: 'DELETE', path: pathOf(resource, name), body, repeat: 'idempotent' }, call);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async watch<T extends KubeObject>(resource: Resource<T>, query: WatchQuery, call: Call): Promise<WatchStream<T>> {
    const parameters = selectionOf(query);
    parameters.set('watch', 'true');
    parameters.set('allowWatchBookmarks', 'true');
    parameters.set('timeoutSeconds', String(query.timeoutSeconds));
    if (query.resourceVersion !== undefined) parameters.set('resourceVersion', query.resourceVersion);
    if (query.sendInitialEvents === true) {
      parameters.set('sendInitialEvents', 'true');
      parameters.set('resourceVersionMatch', 'NotOlderThan');
    }
    const path = collectionOf(resource, query.namespace);
    return await openWatch<T>(this.#transport, path, parameters, {
      ...call,
      ...defined({ idleMs: query.idleMs, outline: query.outline, accept: acceptOf(resource, '') }),
    });
  }

  async #read(
    path: string,
    query: URLSearchParams | undefined,
    deadlineMs: number,
    call: Call,
    how: Pick<ApiRequest, 'maxBytes' | 'outline' | 'accept'> = {},
  ): Promise<unknown> {
    return await this.#transport.request({
      method: 'GET',
      path,
      ...defined({ query }),
      ...how,
      connectionClass: this.#writes.connectionClass ?? 'unary',
      repeat: this.#writes.connectionClass === 'lease' ? 'never' : 'idempotent',
      signal: call.signal,
      deadlineMs: call.deadlineMs ?? deadlineMs,
    });
  }

  async #apply(path: string, body: Applied, call: ApplyCall): Promise<unknown> {
    const query = new URLSearchParams({ fieldManager: call.fieldManager, force: 'true' });
    // JSON is YAML; the API server takes an apply under no other type.
    const contentType = 'application/apply-patch+yaml';
    const { outline } = call;
    const request = { method: 'PATCH', path, query, body, contentType, repeat: 'idempotent' } as const;
    return await this.#write({ ...request, ...defined({ outline }) }, call);
  }

  async #write(
    request: Pick<ApiRequest, 'method' | 'path' | 'query' | 'body' | 'contentType' | 'repeat' | 'outline'>,
    call: Call,
  ): Promise<unknown> {
    const { fence, bucket, backoff, connectionClass } = this.#writes;
    fence?.();
    backoff?.check(request.path);
    const waitedMs = await bucket?.take(call.signal);
    try {
      const answer = await this.#transport.request({
        ...request,
        ...(connectionClass === 'lease' ? { repeat: 'never' as const } : {}),
        connectionClass: connectionClass ?? 'unary',
        signal: call.signal,
        deadlineMs: call.deadlineMs ?? writeDeadlineMs,
        ...defined({ beforeTry: fence, waitedMs }),
      });
      backoff?.answered(request.path);
      return answer;
    } catch (error) {
      // Not if the caller gave up: that says nothing about the object.
      if (error instanceof DeadlineExceeded && !call.signal.aborted) backoff?.timedOut(request.path);
      else if (error instanceof ApiError) backoff?.answered(request.path);
      throw error;
    }
  }
}

interface WireList {
  readonly items?: readonly object[];
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** What is asked for of a resource of which the metadata is enough; undefined: the whole. */
const acceptOf = ({ metadataOnly }: Resource, what: '' | 'List'): string | undefined =>
  metadataOnly === true ? `application/json;as=PartialObjectMetadata${what};g=meta.k8s.io;v=v1` : undefined;

/** Items of a list lack apiVersion and kind. */
function withTypeMeta<T extends KubeObject>(resource: Resource<T>, object: unknown): T {
  return { ...(object as T), apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function selectionOf({ labelSelector }: Selection): URLSearchParams {
  const parameters = new URLSearchParams();
  if (labelSelector !== undefined) parameters.set('labelSelector', labelSelector);
  return parameters;
}
