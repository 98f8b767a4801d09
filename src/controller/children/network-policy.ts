// The NetworkPolicy of a tunnel's pods: who may dial the forwards, and that the controller and Prometheus may ask for status. Ingress
// only: an egress allow of ours would undercut a tenant's default-deny. Pure.
import { effectivePorts } from '../../contract/api/effective.ts';
import { adminPortName } from '../../contract/pod.ts';
import type { ValidPortForward } from '../base/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';
import type { NetworkPolicy } from '../kube/base/resources.ts';
import { childMetadata, childName, selectorLabels } from './names.ts';

type Peer = NonNullable<NonNullable<NonNullable<NetworkPolicy['spec']>['ingress']>[number]['from']>[number];

const sameNamespace: Peer = { podSelector: {} };

export function networkPolicy(portForward: ValidPortForward, settings: TunnelSettings): NetworkPolicy {
  const controller: Peer = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': settings.operatorNamespace } },
    podSelector: { matchLabels: { ...settings.controllerPodLabels } },
  };
  // By name, as the Service does: while an edit rolls out, old and new pods may listen on different numbers.
  const port = (name: string) => ({ protocol: 'TCP', port: name });
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: childMetadata(portForward, childName(portForward)),
    spec: {
      podSelector: { matchLabels: selectorLabels(portForward) },
      policyTypes: ['Ingress'],
      ingress: [
        {
          // Never an empty list: that would mean everyone.
          from: (portForward.spec.access?.from as Peer[] | undefined) ?? [sameNamespace],
          ports: effectivePorts(portForward.spec)
            .toSorted((a, b) => a.port - b.port)
            .map(({ name }) => port(name)),
        },
        { from: [controller, ...(settings.metricsScrapeFrom as Peer[])], ports: [port(adminPortName)] },
      ],
    },
  };
}
