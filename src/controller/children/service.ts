// The Service of a tunnel: the stable address. Ports are matched by name, so that while an edit rolls out no client of one forward ever
// reaches another forward's destination. Pure.
// Neighbours: pod.ts (container ports of the same names).
import { effectivePorts } from '../../contract/api/effective.ts';
import type { ValidPortForward } from '../base/portforward.ts';
import type { Service } from '../kube/base/resources.ts';
import { childMetadata, selectorLabels, serviceName } from './names.ts';

/** `anyPodReady` false keeps not-ready pods in the endpoints: clients then reach a sidecar and get the reason, not silence. */
export function service(portForward: ValidPortForward, anyPodReady: boolean): Service {
  const { labels, annotations, type } = portForward.spec.service;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: childMetadata(portForward, serviceName(portForward), labels, annotations),
    spec: {
      type,
      selector: selectorLabels(portForward),
      publishNotReadyAddresses: !anyPodReady,
      ports: effectivePorts(portForward.spec)
        .map(({ name, port }) => ({ name, port, protocol: 'TCP', targetPort: name }))
        .toSorted((a, b) => a.port - b.port),
    },
  };
}
