// The built-in kinds that this folder or its users touch, typed by the client library's models (types only: nothing of
// the library is loaded).
import type {
  EventsV1Event,
  V1Deployment,
  V1Lease,
  V1NetworkPolicy,
  V1Pod,
  V1PodDisruptionBudget,
  V1Service,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import type { KubeObject, Resource, WireObject } from './object.ts';

export type Deployment = WireObject<V1Deployment>;
export type Event = WireObject<EventsV1Event>;
export type Lease = WireObject<V1Lease>;
export type NetworkPolicy = WireObject<V1NetworkPolicy>;
export type Pod = WireObject<V1Pod>;
export type PodDisruptionBudget = WireObject<V1PodDisruptionBudget>;
/** Metadata alone: only who made it is of interest. */
export type ReplicaSet = KubeObject;
export type Service = WireObject<V1Service>;
export type ServiceAccount = WireObject<V1ServiceAccount>;

function resource<T extends KubeObject>(group: string, version: string, kind: string, plural: string): Resource<T> {
  return { group, version, kind, plural, namespaced: true };
}

export const deployments = resource<Deployment>('apps', 'v1', 'Deployment', 'deployments');
export const events = resource<Event>('events.k8s.io', 'v1', 'Event', 'events');
export const leases = resource<Lease>('coordination.k8s.io', 'v1', 'Lease', 'leases');
export const networkPolicies = resource<NetworkPolicy>('networking.k8s.io', 'v1', 'NetworkPolicy', 'networkpolicies');
export const podDisruptionBudgets = resource<PodDisruptionBudget>(
  'policy',
  'v1',
  'PodDisruptionBudget',
  'poddisruptionbudgets',
);
export const pods = resource<Pod>('', 'v1', 'Pod', 'pods');
export const replicaSets: Resource<ReplicaSet> = {
  ...resource<ReplicaSet>('apps', 'v1', 'ReplicaSet', 'replicasets'),
  metadataOnly: true,
};
export const serviceAccounts = resource<ServiceAccount>('', 'v1', 'ServiceAccount', 'serviceaccounts');
export const services = resource<Service>('', 'v1', 'Service', 'services');
