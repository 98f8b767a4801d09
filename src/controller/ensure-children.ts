// Makes the cluster hold the desired children of one PortForward: applies what differs, leaves what belongs to others, deletes what is
// ours and no longer desired.
// Neighbours: reconcile.ts (calls it), children/ (what is desired), kube/apply/apply.ts (one object), rollout-limiter.ts.

import type { StoredPortForward } from './base/portforward.ts';
import { templateOf } from './children/deployment.ts';
import type { ChildName, Children } from './children/index.ts';
import { markOf } from './children/install.ts';
import { appliedAnnotation } from './children/names.ts';
import { type Applier, OwnershipConflict } from './kube/apply/apply.ts';
import { isApiFailure, isConflict, isForbidden, isInvalid, isNotFound, WriteHeldBack } from './kube/base/api-error.ts';
import { type KubeObject, keyOf, type ObjectKey } from './kube/base/object.ts';
import type { Deployment, NetworkPolicy, PodDisruptionBudget, Service, ServiceAccount } from './kube/base/resources.ts';
import type { ReadStore } from './kube/cache/store.ts';
import { graceRetryMs, type PolicyGrace } from './policy-grace.ts';
import type { RolloutLimiter } from './rollout-limiter.ts';
import { refusalReason } from './status/pod-problems.ts';
import type { Problem } from './status/problem.ts';
import { rollout } from './status/rollout.ts';

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

/** Name of the index over a child’s cache. */
export const ownerIndex = 'owner';

export interface EnsureResult {
  /** The first reason why an object could not be written; permanent ones win over transient ones. */
  readonly obstacle: Problem | undefined;
  /** The first retryable error: the caller throws it once the status reports the obstacle. */
  readonly failure: Error | undefined;
  /** When to look again although nothing changed, in milliseconds: an obstacle that no watch shows, or a rollout that waits for its turn. */
  readonly againInMs: number | undefined;
  /** One sentence for each object that somebody else had changed or deleted. */
  readonly repaired: readonly string[];
  /** A sentence when the rollout began to wait in this pass. */
  readonly queued: string | undefined;
  /** True if an object was refused only for the time of an upgrade (policy-grace.ts). It is neither an obstacle nor a failure. */
  readonly heldBack: boolean;
}

/** Whose mark counts first: the Deployment's, which is what installs would fight about. */
const markOrder = ['deployment', 'serviceAccount', 'networkPolicy', 'service', 'podDisruptionBudget'] as const;

/** When to try again after a refusal or a name that is taken. */
const obstacleMs = 30_000;
/** When to check whether the garbage collector has removed the children of an earlier PortForward of the same name. */
const collectorMs = 1_000;

export class EnsureChildren {
  readonly #access: ChildrenAccess;
  readonly #limiter: RolloutLimiter;
  readonly #grace: PolicyGrace;

  constructor(access: ChildrenAccess, limiter: RolloutLimiter, grace: PolicyGrace) {
    this.#access = access;
    this.#limiter = limiter;
    this.#grace = grace;
  }

  /** The Deployment as we last wrote or saw it. */
  deployment(key: ObjectKey): Deployment | undefined {
    return this.#access.deployment.applier.get(key);
  }

  /** The Service as we last wrote or saw it. */
  service(key: ObjectKey): Service | undefined {
    return this.#access.service.applier.get(key);
  }

  /**
   * The install that keeps the objects of `owner`, if any of them has its mark. The first marked one decides, in an order that is the same
   * for every install: two that begin at the same time agree on one of them.
   */
  install(owner: StoredPortForward): string | undefined {
    for (const name of markOrder) {
      const { store, applier } = this.#access[name];
      for (const { metadata } of store.byIndex(ownerIndex, owner.metadata.uid ?? '')) {
        const live = applier.get(keyOf(metadata));
        const mark = live && markOf(live);
        if (mark !== undefined) return mark;
      }
    }
    return undefined;
  }

  /** An object that cannot be written does not keep the others from being tried. @throws what is not an answer of the API server. */
  async ensure(children: Children, owner: StoredPortForward, signal: AbortSignal): Promise<EnsureResult> {
    const grace = this.#grace.pass(keyOf(owner.metadata));
    const failures = new PassFailures(signal, grace.covers);
    const repaired: string[] = [];
    const settled = hasBeenProgrammed(owner);
    const names = Object.keys(children) as ChildName[];
    for (const name of names) {
      const desired = children[name];
      if (desired === undefined || !this.#mayApply(name, children, failures)) continue;
      await failures.collect(name, async () => {
        const repair = await this.#apply(this.#access[name], desired, owner, settled, signal);
        if (repair !== undefined) repaired.push(repair);
      });
    }
    for (const name of names) {
      if (!this.#mayDelete(name, children, failures)) continue;
      await failures.collect(name, () => this.#prune(this.#access[name], children[name], owner, signal));
    }
    grace.end();
    return { ...failures.result(), repaired };
  }

  /** Only pods have conditions: what guards and names them must be written first, and an operator's rollout waits for its turn. */
  #mayApply(name: ChildName, { deployment: desired }: Children, failures: PassFailures): boolean {
    if (name !== 'deployment') return true;
    const live = this.deployment(keyOf(desired.metadata));
    // Without the NetworkPolicy the first pods would accept everyone; without the ServiceAccount new pods would use the old identity.
    if (failures.has('networkPolicy') && live === undefined) return false;
    if (failures.has('serviceAccount') && startsPods(desired, live)) return false;
    const { waitMs, isNew } = this.#limiter.turn(desired, live);
    if (waitMs > 0) failures.queueRollout(waitMs, isNew);
    return waitMs === 0;
  }

  #mayDelete(name: ChildName, { deployment }: Children, failures: PassFailures): boolean {
    // A renamed Service that cannot be created yet: the old address keeps working until it can.
    if (failures.has(name)) return false;
    // The credentials of older pods end with the ServiceAccount that they run as.
    return name !== 'serviceAccount' || this.#isRolledOut(deployment);
  }

  /** The only write while the document is refused: whether the Service leads to unready pods still follows the pods. */
  async publishNotReady(publish: boolean, owner: StoredPortForward, signal: AbortSignal): Promise<void> {
    const { store, applier } = this.#access.service;
    const part = { spec: { publishNotReadyAddresses: publish } };
    for (const { metadata } of store.byIndex(ownerIndex, owner.metadata.uid ?? '')) {
      await applier.merge(keyOf(metadata), part, owner, signal);
    }
  }

  /** True if no pod of another template is left. */
  #isRolledOut(desired: Deployment): boolean {
    const live = this.deployment(keyOf(desired.metadata));
    return live !== undefined && templateOf(live) === templateOf(desired) && rollout(live) === undefined;
  }

  /** Returns a sentence if somebody else had changed or deleted the object. */
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
    if (action === 'created')
      return settled ? `${what} was deleted by somebody else and has been created again` : undefined;
    if (action === 'unchanged') return undefined;
    const same = before?.metadata.annotations?.[appliedAnnotation] === object.metadata.annotations?.[appliedAnnotation];
    return same ? `${what} was changed by somebody else and has been changed back` : undefined;
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

/** True if applying this creates the first pods or pods of a new template (not for scaling or suspending). */
function startsPods(desired: Deployment, live: Deployment | undefined): boolean {
  if (desired.spec?.replicas === 0) return false;
  return live === undefined || live.spec?.replicas === 0 || templateOf(live) !== templateOf(desired);
}

/** What could not be done in one pass, and when to look again. */
class PassFailures {
  readonly #signal: AbortSignal;
  readonly #failed = new Set<ChildName>();
  #obstacle: Problem | undefined;
  #failure: Error | undefined;
  #againInMs: number | undefined;
  #queued: string | undefined;
  #heldBack = false;
  readonly #passesWithUpgrade: (error: unknown) => boolean;

  constructor(signal: AbortSignal, passesWithUpgrade: (error: unknown) => boolean) {
    this.#signal = signal;
    this.#passesWithUpgrade = passesWithUpgrade;
  }

  /** True if the child is not as desired. */
  has(name: ChildName): boolean {
    return this.#failed.has(name);
  }

  /** @throws what is not an answer of the API server */
  async collect(name: ChildName, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      const problem = obstacleOf(error);
      if (this.#passesWithUpgrade(error)) {
        this.#heldBack = true;
        this.#lookAgainIn(graceRetryMs);
      } else if (problem !== undefined) {
        this.#obstacle ??= problem;
        this.#lookAgainIn(pauseAfter(error));
      } else if (this.#signal.aborted || !isApiFailure(error)) {
        throw error;
      } else {
        this.#failure ??= error;
      }
      this.#failed.add(name);
    }
  }

  queueRollout(waitMs: number, isNew: boolean): void {
    this.#lookAgainIn(waitMs);
    if (isNew) this.#queued = 'The operator changed; the pods are replaced when it is their turn.';
  }

  result(): Omit<EnsureResult, 'repaired'> {
    return {
      obstacle: this.#obstacle ?? failureProblem(this.#failure),
      failure: this.#failure,
      againInMs: this.#againInMs,
      queued: this.#queued,
      heldBack: this.#heldBack,
    };
  }

  #lookAgainIn(ms: number): void {
    this.#againInMs = Math.min(this.#againInMs ?? ms, ms);
  }
}

/** When to look again after an obstacle that no watch shows, in milliseconds. */
function pauseAfter(error: unknown): number {
  if (error instanceof WriteHeldBack) return error.retryInMs;
  return error instanceof OwnershipConflict && error.isTransient ? collectorMs : obstacleMs;
}

/** The problem to report for a retryable error; none for conflicts, which the next pass resolves. */
function failureProblem(failure: Error | undefined): Problem | undefined {
  if (failure === undefined || isConflict(failure) || isNotFound(failure)) return undefined;
  return { reason: 'ApiServerError', message: failure.message };
}

/** The problem that a person must know about; undefined if another try may succeed. */
export function obstacleOf(error: unknown): Problem | undefined {
  if (error instanceof OwnershipConflict) {
    return error.isTransient
      ? {
          reason: 'Progressing',
          message: `waiting until the objects of an earlier PortForward are gone: ${error.message}`,
        }
      : { reason: 'ResourceConflict', message: error.message };
  }
  if (error instanceof WriteHeldBack) return { reason: 'ApiServerError', message: error.message };
  if (isConflict(error) || isNotFound(error)) return undefined;
  if (isForbidden(error)) {
    if (error.message.includes('is being terminated')) return { reason: 'Progressing', message: error.message };
    const reason = refusalReason(error.message);
    return { reason: reason === 'PodRefused' ? 'Forbidden' : reason, message: error.message };
  }
  return isInvalid(error) ? { reason: 'InvalidSpec', message: error.message } : undefined;
}

/** True if all children of this generation have existed before: a missing one was then deleted by somebody. */
export function hasBeenProgrammed({ status, metadata }: StoredPortForward): boolean {
  const programmed = status?.conditions?.find(({ type }) => type === 'Programmed');
  return programmed?.status === 'True' && programmed.observedGeneration === metadata.generation;
}
