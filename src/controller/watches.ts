// What the controller watches, and which PortForward each change concerns. It decides nothing: keys go into the queue, pods to the reader.
// Neighbours: kube/cache/reflector.ts (one kind), reconcile.ts (reads the caches), tunnel-reconciler.ts (builds it).
import { group, kind } from '../contract/api/names.ts';
import { defined } from '../contract/defined.ts';
import { systemClock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import {
  classNameOf,
  portForwardOutline,
  portForwards,
  projectPortForward,
  type StoredPortForward,
} from './base/portforward.ts';
import { managedSelector, nameLabel } from './children/names.ts';
import { ownerIndex } from './ensure-children.ts';
import type { KubeMetrics } from './kube/base/metrics.ts';
import { controllerOf, type KubeObject, keyOf, type ObjectKey, type Resource } from './kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  type Pod,
  podDisruptionBudgets,
  pods,
  type ReplicaSet,
  replicaSets,
  serviceAccounts,
  services,
} from './kube/base/resources.ts';
import { ReadYourWrites } from './kube/cache/read-your-writes.ts';
import { type Change, Reflector, type ReflectorOptions } from './kube/cache/reflector.ts';
import { Store, type StoreOptions } from './kube/cache/store.ts';
import type { Kube } from './kube/rest/kube.ts';
import type { WorkQueue } from './kube/workqueue/work-queue.ts';
import {
  isMadeBy,
  podOutline,
  projectPod,
  projectReplicaSet,
  replicaSetKeyOf,
  replicaSetOutline,
  tunnelOfPod,
  tunnelOfReplicaSet,
} from './pods.ts';
import type { StatuszReader } from './status/statusz-reader.ts';

export interface WatchesOptions {
  readonly kube: Kube;
  /** The only class whose PortForwards are kept. */
  readonly className: string;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly queue: WorkQueue;
  readonly reader: Pick<StatuszReader, 'track' | 'forget'>;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  /** After this much silence a watch is opened again, in milliseconds. Default: the reflector's. */
  readonly idleMs?: number | undefined;
}

const tunnelIndex = 'tunnel';

export class Watches {
  readonly portForwards: Store<StoredPortForward>;
  /** The cache with our own status writes. */
  readonly latest: ReadYourWrites<StoredPortForward>;
  readonly deployments;
  readonly services;
  readonly serviceAccounts;
  readonly networkPolicies;
  readonly podDisruptionBudgets;
  readonly #pods: Store<Pod>;
  readonly #replicaSets: Store<ReplicaSet>;
  readonly #options: WatchesOptions;
  readonly #reflectors: {
    run(signal: AbortSignal): Promise<void>;
    waitForSync(signal: AbortSignal): Promise<void>;
    readonly synced: boolean;
  }[] = [];

  constructor(options: WatchesOptions) {
    this.#options = options;
    const transform = (stored: StoredPortForward): StoredPortForward | undefined =>
      classNameOf(stored) === options.className ? projectPortForward(stored) : undefined;
    this.portForwards = this.#watch(portForwards, { outline: portForwardOutline, transform }, (change) =>
      this.#portForwardChanged(change),
    );
    this.latest = new ReadYourWrites(this.portForwards, systemClock, projectPortForward);
    this.deployments = this.#watchChildren(deployments);
    this.services = this.#watchChildren(services);
    this.serviceAccounts = this.#watchChildren(serviceAccounts);
    this.networkPolicies = this.#watchChildren(networkPolicies);
    this.podDisruptionBudgets = this.#watchChildren(podDisruptionBudgets);
    const ofSets = { labelSelector: managedSelector, outline: replicaSetOutline, transform: projectReplicaSet };
    this.#replicaSets = this.#watch(replicaSets, ofSets, (change) => this.#replicaSetChanged(change));
    const ofPods = { labelSelector: managedSelector, outline: podOutline, transform: projectPod };
    this.#pods = this.#watch(pods, ofPods, (change) => this.#podChanged(change));
    this.#pods.addIndex(tunnelIndex, (pod) => toList(tunnelOfPod(pod)));
  }

  /** True once every cache has been filled. */
  get synced(): boolean {
    return this.#reflectors.every((reflector) => reflector.synced);
  }

  podsOf(key: ObjectKey): readonly Pod[] {
    return this.#pods.byIndex(tunnelIndex, key).filter((pod) => this.isMadeForTunnel(pod));
  }

  /** Whether the ReplicaSet that the pod names as its owner is there, and a Deployment of that tunnel made it. */
  isMadeForTunnel(pod: Pod): boolean {
    return isMadeBy(pod, this.#replicaSets.get(replicaSetKeyOf(pod)));
  }

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }

  async waitForSync(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.waitForSync(signal)));
  }

  #watch<T extends KubeObject>(
    resource: Resource<T>,
    { packed, ...how }: Pick<ReflectorOptions<T>, 'labelSelector' | 'outline' | 'transform'> & StoreOptions,
    onChange: (change: Change<T>) => void,
  ): Store<T> {
    const { kube, namespaces, metrics, log, idleMs } = this.#options;
    const store = new Store<T>(defined({ packed }));
    for (const namespace of namespaces.length === 0 ? [undefined] : namespaces) {
      const reflector = new Reflector<T>({
        kube,
        resource,
        store,
        metrics,
        log,
        ...how,
        ...defined({ namespace, idleMs }),
      });
      reflector.onChange(onChange);
      this.#reflectors.push(reflector);
    }
    return store;
  }

  #watchChildren<T extends KubeObject>(resource: Resource<T>): Store<T> {
    const how = { labelSelector: managedSelector, transform: projectChild, packed: true };
    const store = this.#watch<T>(resource, how, (change) => {
      // By label, not by owner: a new PortForward waits until the children of an earlier one of its name are gone.
      this.#enqueue(keyByLabel(change.object), change);
      if (change.previous !== undefined) this.#enqueue(keyByLabel(change.previous), change);
    });
    store.addIndex(ownerIndex, (object) => toList(controllerOf(object)?.uid));
    return store;
  }

  /** Our own status writes come back here too: a pass that finds nothing to do is cheaper than recognizing them. */
  #portForwardChanged(change: Change<StoredPortForward>): void {
    if (change.type === 'deleted') this.latest.forget(change.key);
    this.#enqueue(change.key, change);
  }

  #podChanged({ type, object, previous, initial }: Change<Pod>): void {
    const { reader } = this.#options;
    if (type === 'deleted') reader.forget(object);
    else reader.track(object, initial);
    if (previous !== undefined && JSON.stringify(withoutVersion(previous)) === JSON.stringify(withoutVersion(object)))
      return;
    this.#enqueue(tunnelOfPod(object), { initial });
  }

  /** Its pods may have come before it. Its own status is nothing to us. */
  #replicaSetChanged({ type, object, previous, initial }: Change<ReplicaSet>): void {
    const isSame = previous !== undefined && controllerOf(previous)?.name === controllerOf(object)?.name;
    if (type === 'deleted' || !isSame) this.#enqueue(tunnelOfReplicaSet(object), { initial });
  }

  #enqueue(key: ObjectKey | undefined, { initial }: { readonly initial: boolean }): void {
    if (key !== undefined) this.#options.queue.add(key, initial ? { priority: 'low' } : {});
  }
}

function keyByLabel({ metadata }: KubeObject): ObjectKey | undefined {
  const name = metadata.labels?.[nameLabel];
  return name === undefined ? undefined : keyOf({ ...metadata, name });
}

/** Our label anybody may set: of an object that no PortForward controls, only who it is is kept. */
function projectChild<T extends KubeObject>(object: T): T {
  const controller = controllerOf(object);
  if (controller?.kind === kind && controller.apiVersion.startsWith(`${group}/`)) return object;
  const { name, namespace, uid, resourceVersion, deletionTimestamp, labels } = object.metadata;
  const label = labels?.[nameLabel];
  const metadata = defined({
    name,
    namespace,
    uid,
    resourceVersion,
    deletionTimestamp,
    labels: label === undefined ? undefined : { [nameLabel]: label },
    ownerReferences: controller === undefined ? undefined : [controller],
  });
  const known: KubeObject = { apiVersion: object.apiVersion, kind: object.kind, metadata };
  return known as T;
}

const withoutVersion = (pod: Pod): unknown => ({ ...pod, metadata: { ...pod.metadata, resourceVersion: '' } });

const toList = (text: string | undefined): readonly string[] => (text === undefined ? [] : [text]);
