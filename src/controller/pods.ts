// What the controller keeps of a pod, and which tunnel it belongs to. Pure.
// Neighbours: watches.ts (fills the cache), status/ (reads it).
import { defined } from '../contract/defined.ts';
import { containerName } from '../contract/pod.ts';
import { childPrefix, nameLabel, templateAnnotation } from './children/names.ts';
import { controllerOf, keyOf, type ObjectKey } from './kube/base/object.ts';
import type { Outline } from './kube/base/outline.ts';
import type { Pod, ReplicaSet } from './kube/base/resources.ts';

/** What is read of a pod; its spec alone is several times what `projectPod` keeps. */
export const podOutline: Outline = {
  '*': true,
  metadata: {
    name: true,
    namespace: true,
    uid: true,
    resourceVersion: true,
    creationTimestamp: true,
    deletionTimestamp: true,
    ownerReferences: true,
    labels: { [nameLabel]: true },
    annotations: { [templateAnnotation]: true },
  },
  spec: false,
  // Of a failing API server's answer the status is a word.
  status: {
    phase: true,
    reason: true,
    message: true,
    podIP: true,
    conditions: { type: true, status: true, reason: true, message: true, lastTransitionTime: true },
    containerStatuses: {
      name: true,
      image: true,
      ready: true,
      started: true,
      restartCount: true,
      state: true,
      lastState: true,
    },
  },
};

/** The few fields that status needs: with tens of thousands of pods the whole objects would fill the memory. */
export function projectPod({ apiVersion, kind, metadata, status }: Pod): Pod {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, ownerReferences } = metadata;
  const tunnel = metadata.labels?.[nameLabel];
  const template = metadata.annotations?.[templateAnnotation];
  const containers = status?.containerStatuses?.filter((each) => each.name === containerName);
  return {
    apiVersion,
    kind,
    metadata: defined({
      name,
      namespace,
      uid,
      resourceVersion,
      creationTimestamp,
      deletionTimestamp,
      ownerReferences,
      labels: tunnel === undefined ? undefined : { [nameLabel]: tunnel },
      annotations: template === undefined ? undefined : { [templateAnnotation]: template },
    }),
    status: defined({
      phase: status?.phase,
      reason: status?.reason,
      message: status?.message,
      podIP: status?.podIP,
      conditions: status?.conditions?.filter(({ type }) => type === 'Ready' || type === 'PodScheduled'),
      containerStatuses: containers,
    }),
  };
}

/** What is read of a ReplicaSet. */
export const replicaSetOutline: Outline = {
  metadata: { name: true, namespace: true, uid: true, resourceVersion: true, ownerReferences: true },
};

/** Only who it is and who made it; undefined for one that no Deployment of a tunnel made. */
export function projectReplicaSet(set: ReplicaSet): ReplicaSet | undefined {
  if (tunnelOfReplicaSet(set) === undefined) return undefined;
  const { name, namespace, uid, resourceVersion } = set.metadata;
  const ownerReferences = [controllerOf(set)].filter((owner) => owner !== undefined);
  const metadata = defined({ name, namespace, uid, resourceVersion, ownerReferences });
  // What the API server sends calls itself PartialObjectMetadata.
  return { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata };
}

/** The key of the PortForward whose Deployment made it. */
export function tunnelOfReplicaSet(set: ReplicaSet): ObjectKey | undefined {
  const owner = controllerOf(set);
  const name = owner?.name.startsWith(childPrefix) === true ? owner.name.slice(childPrefix.length) : '';
  if (owner?.apiVersion !== 'apps/v1' || owner.kind !== 'Deployment' || name === '') return undefined;
  return keyOf({ ...set.metadata, name });
}

/**
 * The key of the PortForward whose pod it claims to be, by its label and its owner. A pod may claim anything: the controller asks and
 * counts only pods for which `isMadeBy` holds, too.
 */
export function tunnelOfPod(pod: Pod): ObjectKey | undefined {
  const name = pod.metadata.labels?.[nameLabel];
  const owner = controllerOf(pod);
  if (name === undefined || owner?.kind !== 'ReplicaSet' || !owner.name.startsWith(`${childPrefix}${name}-`))
    return undefined;
  return keyOf({ ...pod.metadata, name });
}

/** Key of the ReplicaSet that a pod names as its owner. */
export const replicaSetKeyOf = (pod: Pod): ObjectKey =>
  keyOf(defined({ namespace: pod.metadata.namespace, name: controllerOf(pod)?.name ?? '' }));

/** Whether this ReplicaSet, of the tunnel that the pod claims, is the pod's owner. */
export function isMadeBy(pod: Pod, set: ReplicaSet | undefined): boolean {
  const owner = controllerOf(pod);
  if (set === undefined || owner?.apiVersion !== 'apps/v1' || owner.uid !== set.metadata.uid) return false;
  return tunnelOfReplicaSet(set) === tunnelOfPod(pod);
}
