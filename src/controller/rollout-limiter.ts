// An upgrade of the operator changes the pod template of every tunnel at once: this limits how many of them restart per minute. A user’s
// own change never waits.
// Neighbours: reconcile.ts (asks before it applies a Deployment), children/deployment.ts (marks Deployment and template).
import { reconnectAnnotation } from '../contract/api/names.ts';
import { type Clock, systemClock } from '../process/clock.ts';
import { templateOf } from './children/deployment.ts';
import { appliedAnnotation, generationAnnotation } from './children/names.ts';
import { keyOf, type ObjectKey } from './kube/base/object.ts';
import type { Deployment } from './kube/base/resources.ts';
import { TokenBucket } from './kube/base/token-bucket.ts';

export interface RolloutLimiterOptions {
  readonly perMinute: number;
  readonly clock?: Clock;
}

export class RolloutLimiter {
  readonly #bucket: TokenBucket;
  readonly #waiting = new Set<ObjectKey>();

  constructor({ perMinute, clock = systemClock }: RolloutLimiterOptions) {
    this.#bucket = new TokenBucket({ perSecond: perMinute / 60, burst: Math.max(1, perMinute / 6), clock });
  }

  /** Deployments that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Milliseconds until this Deployment may be applied; 0 takes the turn. `isNew`: this is the first time that it must wait. */
  turn(desired: Deployment, live: Deployment | undefined): { readonly waitMs: number; readonly isNew: boolean } {
    const key = keyOf(desired.metadata);
    if (!isOperatorsRollout(desired, live) || this.#bucket.tryTake()) {
      this.#waiting.delete(key);
      return { waitMs: 0, isNew: false };
    }
    const isNew = !this.#waiting.has(key);
    this.#waiting.add(key);
    // Spread, so that not all of them ask again at the same moment.
    return { waitMs: this.#bucket.waitMs() + 1_000 * this.#waiting.size * Math.random(), isNew };
  }

  forget(key: ObjectKey): void {
    this.#waiting.delete(key);
  }
}

/** True if applying `desired` would replace running pods although the user’s document has not changed. */
export function isOperatorsRollout(desired: Deployment, live: Deployment | undefined): boolean {
  if (live === undefined || (live.spec?.replicas ?? 0) === 0) return false;
  const documentOf = (deployment: Deployment): string | undefined =>
    deployment.metadata.annotations?.[generationAnnotation];
  const reconnectOf = (deployment: Deployment): string | undefined =>
    deployment.spec?.template.metadata?.annotations?.[reconnectAnnotation];
  const applied = live.metadata.annotations?.[appliedAnnotation] !== undefined;
  return (
    applied &&
    documentOf(live) === documentOf(desired) &&
    reconnectOf(live) === reconnectOf(desired) &&
    templateOf(live) !== templateOf(desired)
  );
}
