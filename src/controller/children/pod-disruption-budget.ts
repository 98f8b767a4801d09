// The PodDisruptionBudget of a tunnel: a node drain takes one pod at a time. Only from two replicas on, or it would block drains forever;
// pods that are not ready anyway may always be evicted. Pure.

import type { ValidPortForward } from '../base/portforward.ts';
import type { PodDisruptionBudget } from '../kube/base/resources.ts';
import { wantedReplicas } from './deployment.ts';
import { childMetadata, childName, selectorLabels } from './names.ts';

export function podDisruptionBudget(portForward: ValidPortForward): PodDisruptionBudget | undefined {
  if (wantedReplicas(portForward) < 2) return undefined;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: childMetadata(portForward, childName(portForward)),
    spec: {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorLabels(portForward) },
    },
  };
}
