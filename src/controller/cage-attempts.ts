// What each admission policy of the chart must refuse to this controller: for each policy one object that breaks its rule and no other. Pure.
// Neighbours: cage-check.ts (asks the API server), helm/templates/admission-*.yaml (the policies).
import { apiVersion, group, kind } from '../contract/api/names.ts';
import { validPortForward } from './base/portforward.ts';
import type { TunnelSettings } from './base/settings.ts';
import { systemNamespaces } from './children/acceptance.ts';
import { desiredChildren } from './children/index.ts';
import { microTime } from './kube/base/micro-time.ts';
import { type KubeObject, ownedBy, type Resource } from './kube/base/object.ts';
import {
  deployments,
  type Event,
  events,
  networkPolicies,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from './kube/base/resources.ts';

export interface CageAttempt {
  /** The policy's name behind the install's, such as `owned`. */
  readonly policy: string;
  readonly resource: Resource;
  readonly object: KubeObject;
}

/** The PortForward that the attempts pretend to belong to; it need not exist, because nothing is stored. */
const name = 'cage-check';
const uid = '00000000-0000-4000-8000-000000000000';

/** In a namespace that the controller may write to; empty if there is none. `now` stands in the Event. */
export function cageAttempts(settings: TunnelSettings, now: Date): CageAttempt[] {
  const { watchNamespaces, allowedServiceTypes } = settings;
  // Nobody can delete `default`.
  const namespaces = watchNamespaces.length === 0 ? ['default'] : watchNamespaces;
  const namespace = namespaces.find((each) => !systemNamespaces.includes(each));
  if (namespace === undefined) return [];
  const owner = { apiVersion, kind, metadata: { name, namespace, uid } };
  const portForward = validPortForward({ ...owner, spec: sampleSpec(allowedServiceTypes[0]) } as never);
  const children = desiredChildren(portForward, { ...settings, watchNamespaces: [namespace] }, true);
  const owned = { ownerReferences: [ownedBy(owner)] };
  const strange = (child: KubeObject | undefined): KubeObject => {
    if (child === undefined) throw new TypeError('the sample document has every child');
    const annotations = { ...child.metadata.annotations, [`${group}/cageCheck`]: 'refuse' };
    return { ...child, metadata: { ...child.metadata, ...owned, annotations } };
  };
  const { serviceAccount } = children;
  if (serviceAccount === undefined) throw new TypeError('the sample document has a ServiceAccount');
  return [
    { policy: 'owned', resource: serviceAccounts, object: serviceAccount },
    { policy: 'pods', resource: deployments, object: strange(children.deployment) },
    { policy: 'services', resource: services, object: strange(children.service) },
    { policy: 'serviceaccounts', resource: serviceAccounts, object: strange(serviceAccount) },
    { policy: 'networkpolicies', resource: networkPolicies, object: strange(children.networkPolicy) },
    { policy: 'budgets', resource: podDisruptionBudgets, object: strange(children.podDisruptionBudget) },
    { policy: 'events', resource: events, object: strangeEvent(namespace, now) },
  ];
}

/** A document with every child. */
const sampleSpec = (serviceType = 'ClusterIP') => ({
  replicas: 2,
  ports: [{ port: 5432 }],
  ssh: { user: name, bastions: [{ host: 'bastion.invalid' }], secretRef: { name } },
  service: { type: serviceType },
});

/** About an object that is none of ours. */
function strangeEvent(namespace: string, now: Date): Event {
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace },
    eventTime: microTime(now),
    reportingController: `${group}/controller`,
    reportingInstance: name,
    type: 'Normal',
    reason: 'CageCheck',
    action: 'Check',
    note: 'The admission policies must refuse this.',
    regarding: { apiVersion: 'v1', kind: 'ConfigMap', name, namespace },
  };
}
