// spec.pod: what a user may say of the tunnel pods. A closed list that cannot widen rights: no image, command, volumes or security context.
// Neighbours: scheduling.ts; controller/children builds the Deployment.
import { z } from 'zod';
import { listBy, orderedList } from './building-blocks.ts';
import { matchLabels, objectName, ownAnnotations, ownLabels } from './names.ts';
import { resources } from './quantity.ts';
import { affinitySchema, tolerationSchema, topologySpreads } from './scheduling.ts';

export const podSchema = z
  .strictObject({
    serviceAccountName: objectName('ServiceAccount')
      .exactOptional()
      .describe(
        'A ServiceAccount of your own for the tunnel pods (for IRSA or EKS Pod Identity). Its token is not mounted. Naming it needs the verb use on it. Default: one that the operator makes.',
      ),
    imagePullSecrets: listBy(
      'name',
      z.strictObject({
        name: objectName('Secret').describe(
          'Name of a Secret of type kubernetes.io/dockerconfigjson in this namespace.',
        ),
      }),
      16,
    )
      .exactOptional()
      .describe("Secrets to pull the tunnel's image with, in addition to the chart's."),
    resources: resources()
      .exactOptional()
      .describe('CPU and memory of a tunnel pod. Default: requests 20m and 96Mi, memory limit 256Mi.'),
    nodeSelector: matchLabels().exactOptional().describe('Labels that a node must carry.'),
    tolerations: orderedList(tolerationSchema, 32).exactOptional().describe('Taints of nodes that are tolerated.'),
    affinity: affinitySchema.exactOptional().describe('Which nodes and pods to be near to, or away from.'),
    topologySpreadConstraints: topologySpreads()
      .exactOptional()
      .describe('How the pods are spread. Default: over nodes, as far as possible.'),
    priorityClassName: objectName('PriorityClass').exactOptional().describe('Name of a PriorityClass.'),
    labels: ownLabels('pod.labels').exactOptional().describe("Labels for the pods; the operator's own win."),
    annotations: ownAnnotations('pod.annotations')
      .exactOptional()
      .describe('Annotations for the pods; only prefixes that the operator allows.'),
  })
  .describe('Settings of the tunnel pods: a closed list that cannot widen their rights.');
