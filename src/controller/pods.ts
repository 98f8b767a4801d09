// What the controller keeps of a pod, and which tunnel it belongs to. Pure.
// Neighbours: watches.ts (fills the cache), status/ (reads it).
import { defined } from '../contract/defined.ts';
import { containerName } from '../contract/pod.ts';
import { nameLabel, templateAnnotation } from './children/names.ts';
import { controllerOf, keyOf, type ObjectKey } from './kube/base/object.ts';
import type { Outline } from './kube/base/outline.ts';
import type { Pod } from './kube/base/resources.ts';

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
    containerStatuses: { name: true, ready: true, started: true, restartCount: true, state: true, lastState: true },
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

/**
 * The key of the PortForward whose pod it is. By label, and only for pods that a ReplicaSet of the tunnel's Deployment made: a label alone
 * anyone may set, and the controller asks every tunnel pod for its status.
 */
export function tunnelOfPod(pod: Pod): ObjectKey | undefined {
  const name = pod.metadata.labels?.[nameLabel];
  const owner = controllerOf(pod);
  if (name === undefined || owner?.kind !== 'ReplicaSet' || !owner.name.startsWith(`pf-${name}-`)) return undefined;
  return keyOf({ ...pod.metadata, name });
}
