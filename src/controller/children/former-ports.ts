// A port edit must not take the old port away before the new one works: until a pod of the new template is ready, the Service keeps the
// ports that the document no longer names, and they lead to the older pods. Pure.
// Neighbours: service.ts and network-policy.ts (what the document wants), ../reconcile.ts (knows when).
import type { Service } from '../kube/base/resources.ts';
import type { Children } from './index.ts';

type Port = NonNullable<NonNullable<Service['spec']>['ports']>[number];

/**
 * `live`: the Service as it is. `mayKeep`: whether the forward of that name still leads to where it led; if not, an old port would lead
 * elsewhere as soon as a new pod is ready. `isNewEdit`: no pass has seen the document yet. Later, a wanted name on another number is drift.
 */
export function withFormerPorts(
  children: Children,
  live: Service | undefined,
  mayKeep: (name: string) => boolean,
  isNewEdit: boolean,
): Children {
  const wanted = children.service.spec?.ports ?? [];
  const names = new Set(wanted.map(({ name }) => name));
  const former = (live?.spec?.ports ?? []).flatMap((port): Port[] => {
    const { targetPort: target } = port;
    if (typeof target !== 'string' || wanted.some((each) => each.port === port.port)) return [];
    if (names.has(target) && !mayKeep(target)) return [];
    if (names.has(port.name) && !isNewEdit) return [];
    // A Service's ports need different names; a forward that only got another number keeps its own for the new port.
    const name = port.name !== undefined && !names.has(port.name) ? port.name : `former-${port.port}`;
    return [{ name, port: port.port, protocol: 'TCP', targetPort: target }];
  });
  if (former.length === 0) return children;
  const ports = [...wanted, ...former].toSorted((a, b) => a.port - b.port);
  const admitted = [...new Set(former.map(({ targetPort }) => String(targetPort)))].filter((name) => !names.has(name));
  const [clients, ...others] = children.networkPolicy.spec?.ingress ?? [];
  const more = admitted.map((port) => ({ protocol: 'TCP', port }));
  const ingress = [
    ...(clients === undefined ? [] : [{ ...clients, ports: [...(clients.ports ?? []), ...more] }]),
    ...others,
  ];
  return {
    ...children,
    service: { ...children.service, spec: { ...children.service.spec, ports } },
    networkPolicy: {
      ...children.networkPolicy,
      spec: { ...children.networkPolicy.spec, ingress } as NetworkPolicySpec,
    },
  };
}

type NetworkPolicySpec = NonNullable<Children['networkPolicy']['spec']>;
