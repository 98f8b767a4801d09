// Writes a PortForward’s status when it differs from the stored one, and records the transitions as Events. A change that a person or a
// machine may act on is written at once; the small steps of a start and details of pods are collected first, mere wording for longer.
// A thousand documents at once are a thousand first steps: most of them are over before they are written (docs/decisions/0016).
// Neighbours: reconcile.ts (calls it), status/status.ts (computes it), transitions.ts (which Events).
import { isDeepStrictEqual } from 'node:util';
import { apiVersion, kind } from '../contract/api/names.ts';
import type { PortForwardStatus } from '../contract/api/status.ts';
import { defined } from '../contract/defined.ts';
import { type Clock, systemClock } from '../process/clock.ts';
import type { Counter } from '../process/metrics.ts';
import { portForwardOutline, portForwards, type StoredPortForward } from './base/portforward.ts';
import { statusFieldManager } from './children/names.ts';
import type { EnsureResult } from './ensure-children.ts';
import { isNotFound, WriteHeldBack } from './kube/base/api-error.ts';
import { keyOf, type ObjectKey } from './kube/base/object.ts';
import type { ReadYourWrites } from './kube/cache/read-your-writes.ts';
import type { EventInput, EventRecorder } from './kube/events/events.ts';
import type { Kube } from './kube/rest/kube.ts';
import { type ComputedStatus, isUnseen } from './status/status.ts';
import { isOnItsWay, isStarting, transitions } from './transitions.ts';

export interface StatusWriterOptions {
  readonly kube: Kube;
  /** The cache with our own last writes: the next pass must see them, or times would jump back. */
  readonly latest: ReadYourWrites<StoredPortForward>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly writes?: Counter;
  readonly repairs?: Counter;
  readonly pauses?: StatusPauses | undefined;
  readonly clock?: Clock;
}

/** Minimum time between two writes of one status, in milliseconds. */
export interface StatusPauses {
  /** Before the first write of a new document's status, while it starts without a problem. */
  readonly startMs: number;
  /** When only pods and replicas changed, or the tunnel takes the next step of its start. */
  readonly detailsMs: number;
  /** When only messages changed. */
  readonly wordingMs: number;
}

const standardPauses: StatusPauses = { startMs: 2_000, detailsMs: 2_000, wordingMs: 10_000 };

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #clock: Clock;
  /** When it was last written; of a status that was never written: when there was first something to write. */
  readonly #writtenAt = new Map<ObjectKey, number>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Writes if it differs. @throws ApiError with `isConflict` if the PortForward changed meanwhile. */
  async write(
    stored: StoredPortForward,
    { status, changesInMs, causes }: ComputedStatus,
    signal: AbortSignal,
  ): Promise<{ readonly againInMs: number | undefined }> {
    const { kube, latest, writes } = this.#options;
    if (isDeepStrictEqual(canonical(stored.status), canonical(status))) return { againInMs: changesInMs };
    const key = keyOf(stored.metadata);
    const isNew = isUnseen(stored.status);
    const writtenAt = this.#writtenAt.get(key) ?? (isNew ? this.#clock.now() : Number.NEGATIVE_INFINITY);
    if (isNew) this.#writtenAt.set(key, writtenAt);
    const wait = writtenAt + this.#pause(stored.status, status) - this.#clock.now();
    if (wait > 0) return { againInMs: Math.min(wait, changesInMs ?? wait) };
    const { name, namespace, resourceVersion } = stored.metadata;
    const metadata = {
      name,
      ...defined({ namespace, resourceVersion }),
    };
    const body = { apiVersion, kind, metadata, status };
    try {
      const call = { signal, fieldManager: statusFieldManager, outline: portForwardOutline };
      latest.record(await kube.applyStatus(portForwards, body, call));
    } catch (error) {
      // Deleted meanwhile.
      if (isNotFound(error)) return { againInMs: undefined };
      if (error instanceof WriteHeldBack) return { againInMs: error.retryInMs };
      throw error;
    }
    writes?.inc();
    this.#writtenAt.set(key, this.#clock.now());
    for (const transition of transitions(stored.status, status, causes)) this.#record(stored, 'Reconcile', transition);
    return { againInMs: changesInMs };
  }

  /** Records Events about what a pass did with the children. */
  recordPass(stored: StoredPortForward, { repaired, queued }: EnsureResult): void {
    for (const note of repaired) {
      this.#options.repairs?.inc();
      this.#record(stored, 'Repair', { type: 'Normal', reason: 'DriftRepaired', note });
    }
    if (queued !== undefined)
      this.#record(stored, 'Rollout', { type: 'Normal', reason: 'RolloutQueued', note: queued });
  }

  forget(key: ObjectKey): void {
    this.#writtenAt.delete(key);
  }

  #pause(before: PortForwardStatus | undefined, now: PortForwardStatus): number {
    const { startMs, detailsMs, wordingMs } = this.#options.pauses ?? standardPauses;
    if (isUnseen(before)) return isStarting(now) ? startMs : 0;
    if (isDeepStrictEqual(substance(before), substance(now))) return wordingMs;
    if (isDeepStrictEqual(verdicts(before), verdicts(now))) return detailsMs;
    return isOnItsWay(before, now) ? detailsMs : 0;
  }

  #record(regarding: StoredPortForward, action: string, note: Pick<EventInput, 'type' | 'reason' | 'note'>): void {
    this.#options.events.record({ regarding: { ...regarding, apiVersion, kind }, action, ...note });
  }
}

const verdicts = (status: PortForwardStatus | undefined): unknown =>
  status?.conditions
    ?.map(({ type, status: is, reason, observedGeneration }) => `${type} ${is} ${reason} ${observedGeneration}`)
    .toSorted();

/** Independent of order: in a list-map the API server keeps the order of the first write. */
function canonical(status: PortForwardStatus | undefined): unknown {
  if (status === undefined) return undefined;
  const by = <T>(items: readonly T[] | undefined, keyOfItem: (item: T) => string): T[] | undefined =>
    items?.toSorted((a, b) => (keyOfItem(a) < keyOfItem(b) ? -1 : 1));
  return {
    ...status,
    conditions: by(status.conditions, ({ type }) => type),
    ports: by(status.ports, ({ name }) => name),
    tunnels: by(status.tunnels ?? [], ({ pod }) => pod),
    routes: by(status.routes ?? [], ({ via }) => via),
  };
}

/** A status without its wording. */
function substance(status: PortForwardStatus | undefined): unknown {
  if (status === undefined) return undefined;
  return canonical({
    ...status,
    conditions: status.conditions?.map((condition) => ({ ...condition, message: '' })) ?? [],
    ports: status.ports?.map((port) => ({ ...port, message: '' })) ?? [],
    tunnels: status.tunnels?.map((tunnel) => ({ ...tunnel, message: '' })) ?? [],
    routes: status.routes?.map((route) => ({ ...route, message: '' })) ?? [],
  });
}
