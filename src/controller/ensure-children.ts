// Makes the cluster hold the desired children of one PortForward: applies what differs, leaves what belongs to others, deletes what is
// ours and no longer desired.
// Neighbours: reconcile.ts (calls it), children/ (what is desired), kube/apply.ts (one object), rollout-limiter.ts.

import type { StoredPortForward } from './base/portforward.ts';
import { templateOf } from './children/deployment.ts';
import type { ChildName, Children } from './children/index.ts';
import { appliedAnnotation } from './children/names.ts';
import { type Applier, OwnershipConflict } from './kube/apply/apply.ts';
import { isApiFailure, isConflict, isForbidden, isInvalid, isNotFound } from './kube/base/api-error.ts';
import { type KubeObject, keyOf, type ObjectKey } from './kube/base/object.ts';
import type { Deployment, NetworkPolicy, PodDisruptionBudget, Service, ServiceAccount } from './kube/base/resources.ts';
import type { ReadStore } from './kube/cache/store.ts';
import type { RolloutLimiter } from './rollout-limiter.ts';
import { rollout } from './status/kstatus.ts';
import { refusalReason } from './status/pod-problems.ts';
import type { Problem } from './status/problem.ts';

/** The kind of each child. */
interface ChildKinds {
  readonly serviceAccount: ServiceAccount;
  readonly networkPolicy: NetworkPolicy;
  readonly service: Service;
  readonly deployment: Deployment;
  readonly podDisruptionBudget: PodDisruptionBudget;
}

/** Cache and writer of one kind. The cache has the index `owner` (uid of the controller). */
export interface ChildAccess<T extends KubeObject> {
  readonly store: ReadStore<T>;
  readonly applier: Pick<Applier<T>, 'get' | 'apply' | 'merge' | 'delete'>;
}

export type ChildrenAccess = { readonly [Name in ChildName]: ChildAccess<ChildKinds[Name]> };

/** Name of the index over a child's cache. */
export const ownerIndex = 'owner';

export interface EnsureResult {
  /** Why not every object could be written; the first reason, and one that a person must mend before one that may pass. */
  readonly obstacle: Problem | undefined;
  /** The first error that another try may get over: to be thrown once the status tells of the obstacle. */
  readonly failure: Error | undefined;
  /** When to look again although nothing changed: an obstacle that no watch shows, or a rollout that waits for its turn. */
  readonly againInMs: number | undefined;
  /** Sentences on objects that somebody else had changed or deleted. */
  readonly repaired: readonly string[];
  /** A sentence when the rollout began to wait in this pass. */
  readonly queued: string | undefined;
}

/** How soon a foreign object or a refusal is looked at again. */
const obstacleMs = 30_000;
/** How soon the garbage collector is expected to have removed a former namesake's child. */
const collectorMs = 1_000;

export class EnsureChildren {
  readonly #access: ChildrenAccess;
  readonly #limiter: RolloutLimiter;

  constructor(access: ChildrenAccess, limiter: RolloutLimiter) {
    this.#access = access;
    this.#limiter = limiter;
  }

  /** The Deployment as we know it, our own last write included. */
  deployment(key: ObjectKey): Deployment | undefined {
    return this.#access.deployment.applier.get(key);
  }

  /** One object that cannot be written keeps no other from being tried. @throws what is no answer of the API server. */
  async ensure(children: Children, owner: StoredPortForward, signal: AbortSignal): Promise<EnsureResult> {
    const trouble = new PassFailures();
    let queued: string | undefined;
    const repaired: string[] = [];
    const settled = hasBeenProgrammed(owner);
    for (const name of Object.keys(children) as ChildName[]) {
      const desired = children[name];
      if (desired === undefined) continue;
      if (name === 'deployment') {
        const live = this.deployment(keyOf(desired.metadata));
        // The first pods would be open to everybody, new ones would start under the former identity.
        const isUnguarded = live === undefined && trouble.blocked.has('networkPolicy');
        const isMisnamed = trouble.blocked.has('serviceAccount') && startsPods(children.deployment, live);
        if (isUnguarded || isMisnamed) continue;
        const { waitMs, news } = this.#limiter.turn(children.deployment, live);
        if (waitMs > 0) {
          trouble.againInMs = earlier(trouble.againInMs, waitMs);
          if (news) queued = 'The operator changed; the pods are replaced when it is their turn.';
          continue;
        }
      }
      try {
        const repair = await this.#apply(this.#access[name], desired, owner, settled, signal);
        if (repair !== undefined) repaired.push(repair);
      } catch (error) {
        trouble.note(name, error, signal);
      }
    }
    for (const name of Object.keys(children) as ChildName[]) {
      // A renamed Service that cannot be made yet: the old address keeps working until it can.
      if (trouble.blocked.has(name)) continue;
      // The older pods' credentials end with the ServiceAccount that they run as.
      if (name === 'serviceAccount' && !this.#isReplaced(children.deployment)) continue;
      try {
        await this.#prune(this.#access[name], children[name], owner, signal);
      } catch (error) {
        trouble.note(name, error, signal);
      }
    }
    const { obstacle, failure, againInMs } = trouble;
    return { obstacle: obstacle ?? failureProblem(failure), failure, againInMs, repaired, queued };
  }

  /** All that is done while the document is refused: whether its Service leads to pods that are not ready still follows the pods. */
  async publishNotReady(publish: boolean, owner: StoredPortForward, signal: AbortSignal): Promise<void> {
    const { store, applier } = this.#access.service;
    const part = { spec: { publishNotReadyAddresses: publish } };
    for (const { metadata } of store.byIndex(ownerIndex, owner.metadata.uid ?? '')) {
      await applier.merge(keyOf(metadata), part, owner, signal);
    }
  }

  /** Whether no pod of another template is left. */
  #isReplaced(desired: Deployment): boolean {
    const live = this.deployment(keyOf(desired.metadata));
    return live !== undefined && templateOf(live) === templateOf(desired) && rollout(live) === undefined;
  }

  /** A sentence if somebody else had changed or deleted the object. */
  async #apply(
    { applier }: ChildAccess<KubeObject>,
    desired: KubeObject,
    owner: KubeObject,
    settled: boolean,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const before = applier.get(keyOf(desired.metadata));
    const { object, action } = await applier.apply(desired, owner, signal);
    const what = `${desired.kind} ${desired.metadata.name}`;
    if (action === 'created') return settled ? `${what} had been deleted and is made again` : undefined;
    if (action === 'unchanged') return undefined;
    const same = before?.metadata.annotations?.[appliedAnnotation] === object.metadata.annotations?.[appliedAnnotation];
    return same ? `${what} had been changed by somebody else and is as the document wants it again` : undefined;
  }

  async #prune(
    { store, applier }: ChildAccess<KubeObject>,
    desired: KubeObject | undefined,
    owner: KubeObject,
    signal: AbortSignal,
  ): Promise<void> {
    const keep = desired === undefined ? undefined : keyOf(desired.metadata);
    for (const { metadata } of store.byIndex(ownerIndex, owner.metadata.uid ?? '')) {
      const key = keyOf(metadata);
      if (key !== keep) await applier.delete(key, owner, signal);
    }
  }
}

/** Whether the first pods would come by it, or those of another template; to scale or suspend what runs does not. */
function startsPods(desired: Deployment, live: Deployment | undefined): boolean {
  if (desired.spec?.replicas === 0) return false;
  return live === undefined || live.spec?.replicas === 0 || templateOf(live) !== templateOf(desired);
}

/** What went wrong in one pass. */
class PassFailures {
  obstacle: Problem | undefined;
  failure: Error | undefined;
  againInMs: number | undefined;
  /** The children that are not as desired. */
  readonly blocked = new Set<ChildName>();

  note(name: ChildName, error: unknown, signal: AbortSignal): void {
    const problem = obstacleOf(error);
    if (problem !== undefined) {
      this.obstacle ??= problem;
      const passing = error instanceof OwnershipConflict && error.passing;
      this.againInMs = earlier(this.againInMs, passing ? collectorMs : obstacleMs);
    } else if (signal.aborted || !isApiFailure(error)) {
      throw error;
    } else {
      this.failure ??= error;
    }
    this.blocked.add(name);
  }
}

/** What is told of an error that another try may get over; nothing where somebody was only faster than us. */
function failureProblem(failure: Error | undefined): Problem | undefined {
  if (failure === undefined || isConflict(failure) || isNotFound(failure)) return undefined;
  return { reason: 'ApiServerError', message: failure.message };
}

/** What of an error a person must hear and mend; undefined: another try may do. */
export function obstacleOf(error: unknown): Problem | undefined {
  if (error instanceof OwnershipConflict) {
    return error.passing
      ? {
          reason: 'Progressing',
          message: `waiting until the objects of an earlier PortForward are gone: ${error.message}`,
        }
      : { reason: 'ResourceConflict', message: error.message };
  }
  if (isConflict(error) || isNotFound(error)) return undefined;
  if (isForbidden(error)) {
    if (error.message.includes('is being terminated')) return { reason: 'Progressing', message: error.message };
    const reason = refusalReason(error.message);
    return { reason: reason === 'PodRefused' ? 'Forbidden' : reason, message: error.message };
  }
  return isInvalid(error) ? { reason: 'InvalidSpec', message: error.message } : undefined;
}

/** Whether all children of this very document have existed before, so that a missing one was deleted by hand. */
function hasBeenProgrammed({ status, metadata }: StoredPortForward): boolean {
  const programmed = status?.conditions?.find(({ type }) => type === 'Programmed');
  return programmed?.status === 'True' && programmed.observedGeneration === metadata.generation;
}

const earlier = (a: number | undefined, b: number): number => Math.min(a ?? b, b);
