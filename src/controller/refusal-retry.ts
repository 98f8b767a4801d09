// Kubernetes retries refused pods with delays that grow to 16 minutes, and does not notice that a quota was raised or a policy changed.
// A changed annotation on the Deployment helps: it is copied to the ReplicaSet, which then retries at once (measured with
// kube-controller-manager 1.36: refused for 45 s, fixed, 37 s until the next try; with the annotation 0.6 s).
// Neighbours: reconcile.ts (calls it), status/pod-problems.ts (recognizes a refusal).
import { type Clock, systemClock } from '../process/clock.ts';
import { keyOf, type ObjectKey } from './kube/base/object.ts';
import { type Deployment, deployments } from './kube/base/resources.ts';
import type { Kube } from './kube/rest/kube.ts';
import type { Call } from './kube/rest/transport.ts';

/** Not one of the fields that we apply, so it is neither drift nor part of what a tunnel is. */
const retryAnnotation = 'portforward.dev/retryPods';

/** Pause between two tries of one Deployment. */
const retryMs = 15_000;

export class RefusalRetry {
  readonly #kube: Pick<Kube, 'mergePatch'>;
  readonly #triedAt = new Map<ObjectKey, number>();

  readonly #clock: Clock;

  constructor(kube: Pick<Kube, 'mergePatch'>, clock: Clock = systemClock) {
    this.#kube = kube;
    this.#clock = clock;
  }

  /** Makes Kubernetes retry if it is time; returns the milliseconds until the next time. `refused` false ends it. */
  async retry(deployment: Deployment | undefined, refused: boolean, call: Call): Promise<number | undefined> {
    if (deployment === undefined) return undefined;
    const key = keyOf(deployment.metadata);
    if (!refused) {
      this.#triedAt.delete(key);
      return undefined;
    }
    const now = this.#clock.now();
    // The first refusal was itself a try.
    const last = this.#triedAt.get(key);
    if (last === undefined) this.#triedAt.set(key, now);
    const wait = (last ?? now) + retryMs - now;
    if (wait > 0) return wait;
    this.#triedAt.set(key, now);
    const patch = { metadata: { annotations: { [retryAnnotation]: this.#clock.date().toISOString() } } };
    await this.#kube.mergePatch(deployments, deployment.metadata, patch, call);
    return retryMs;
  }

  forget(key: ObjectKey): void {
    this.#triedAt.delete(key);
  }
}
