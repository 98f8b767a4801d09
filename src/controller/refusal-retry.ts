// Kubernetes tries refused pods again with delays that grow to 16 minutes, and nothing tells it that a quota was raised or a policy
// changed. A changed annotation on the Deployment does: it is copied to the ReplicaSet, which then tries at once (measured with
// kube-controller-manager 1.36: refused for 45 s, fixed, 37 s until the next try; with the annotation 0.6 s).
// Neighbours: reconcile.ts (calls it), status/pod-problems.ts (knows a refusal).

import { keyOf, type ObjectKey } from './kube/base/object.ts';
import { type Deployment, deployments } from './kube/base/resources.ts';
import type { Kube } from './kube/rest/kube.ts';
import type { Call } from './kube/rest/transport.ts';

/** Not one of the fields that we apply, so it is neither drift nor part of what a tunnel is. */
const retryAnnotation = 'portforward.dev/retryPods';

/** Between two tries of one Deployment. */
const retryMs = 15_000;

export class RefusalRetry {
  readonly #kube: Pick<Kube, 'mergePatch'>;
  readonly #triedAt = new Map<ObjectKey, number>();

  constructor(kube: Pick<Kube, 'mergePatch'>) {
    this.#kube = kube;
  }

  /** Lets Kubernetes try again if it is time; the milliseconds until it will be. `refused` false ends it. */
  async retry(deployment: Deployment | undefined, refused: boolean, call: Call): Promise<number | undefined> {
    if (deployment === undefined) return undefined;
    const key = keyOf(deployment.metadata);
    if (!refused) {
      this.#triedAt.delete(key);
      return undefined;
    }
    const now = Date.now();
    // The first refusal was a try of its own.
    const last = this.#triedAt.get(key);
    if (last === undefined) this.#triedAt.set(key, now);
    const wait = (last ?? now) + retryMs - now;
    if (wait > 0) return wait;
    this.#triedAt.set(key, now);
    const patch = { metadata: { annotations: { [retryAnnotation]: new Date(now).toISOString() } } };
    await this.#kube.mergePatch(deployments, deployment.metadata, patch, call);
    return retryMs;
  }

  forget(key: ObjectKey): void {
    this.#triedAt.delete(key);
  }
}
