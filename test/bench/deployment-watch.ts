// What becomes of the tunnels' Deployments, as a client of the API server sees it.
// Neighbours: controller-world.ts edits documents and waits here, controller-process.ts is what changes the Deployments.
import { setTimeout as delay } from 'node:timers/promises';
import { generationAnnotation } from '../../src/controller/children/names.ts';
import { type Deployment, deployments } from '../../src/controller/kube/base/resources.ts';
import type { Kube } from '../../src/controller/kube/rest/kube.ts';
import { rollout } from '../../src/controller/status/rollout.ts';
import { abortable } from '../../src/process/abort.ts';
import { deadline } from '../../src/process/deadline.ts';

interface Seen {
  readonly generation: number;
  /** Of the document that it was made from. */
  readonly document: number;
  readonly isRolledOut: boolean;
}

/** Pods' templates are most of a Deployment, and only that they changed counts here. */
const outline = {
  '*': true,
  spec: { replicas: true },
  metadata: { name: true, generation: true, resourceVersion: true, annotations: true },
};

/** In a storm of edits the last one waits for all others: two or three writes each, 50 a second. */
const patienceMs = 15 * 60_000;

export class DeploymentWatch {
  /** Changes of a spec that were seen. */
  rollouts = 0;
  readonly #kube: Kube;
  readonly #seen = new Map<string, Seen>();
  /** Deployment → who waits for its next event. */
  readonly #waiting = new Map<string, (seen: Seen) => void>();
  readonly #stop = new AbortController();

  constructor(kube: Kube) {
    this.#kube = kube;
    void this.#follow();
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Resolves when the Deployment is made from that generation of its document, or from a later one. */
  async madeFrom(name: string, document: number): Promise<void> {
    await this.#until(name, (seen) => seen.document >= document);
  }

  /** Resolves when no pod of an earlier template is left. */
  async rolledOut(name: string): Promise<void> {
    await this.#until(name, (seen) => seen.isRolledOut);
  }

  /** One at a time may wait for each Deployment. @throws DeadlineExceeded */
  async #until(name: string, fits: (seen: Seen) => boolean): Promise<void> {
    const now = this.#seen.get(name);
    if (now !== undefined && fits(now)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(name, (seen) => {
      if (fits(seen)) resolve();
    });
    using limit = deadline(patienceMs, { signal: this.#stop.signal, what: `a change of ${name}` });
    try {
      await abortable(promise, limit);
    } finally {
      this.#waiting.delete(name);
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    let resourceVersion: string | undefined;
    while (!signal.aborted) {
      const from = resourceVersion === undefined ? { sendInitialEvents: true } : { resourceVersion };
      const query = { outline, timeoutSeconds: 3_000, idleMs: 600_000, ...from };
      try {
        const stream = await this.#kube.watch<Deployment>(deployments, query, { signal });
        for await (const event of stream) {
          if (event.type === 'ERROR') throw new Error(JSON.stringify(event.object));
          resourceVersion = event.object.metadata.resourceVersion;
          if (event.type !== 'BOOKMARK') this.#note(event.object);
        }
      } catch {
        // The end, or a break: from the last version on.
        await delay(1_000);
      }
    }
  }

  #note(deployment: Deployment): void {
    const { name, generation = 0, annotations } = deployment.metadata;
    const before = this.#seen.get(name);
    if (before !== undefined && generation > before.generation) this.rollouts += 1;
    const seen = {
      generation,
      document: Number(annotations?.[generationAnnotation] ?? 0),
      isRolledOut: rollout(deployment) === undefined,
    };
    this.#seen.set(name, seen);
    this.#waiting.get(name)?.(seen);
  }
}
