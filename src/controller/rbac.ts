// What the controller may do at the API server: exactly this list, from which the chart's roles are generated and against which its
// ServiceAccount is walked in a test. No verb on Secrets, ever. Data only.

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const owned = ['get', 'list', 'watch', 'create', 'patch', 'delete'] as const;

/** Cluster-wide, or in each watched namespace. */
export const controllerRules: readonly PolicyRule[] = [
  { apiGroups: ['portforward.dev'], resources: ['portforwards'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['portforward.dev'], resources: ['portforwards/status'], verbs: ['patch'] },
  // blockOwnerDeletion in owner references needs it where OwnerReferencesPermissionEnforcement is on.
  { apiGroups: ['portforward.dev'], resources: ['portforwards/finalizers'], verbs: ['update'] },
  { apiGroups: ['apps'], resources: ['deployments'], verbs: owned },
  { apiGroups: [''], resources: ['services', 'serviceaccounts'], verbs: owned },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: owned },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: owned },
  { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] },
  // Metadata alone: whether a pod's owner is there, and a Deployment of ours made it.
  { apiGroups: ['apps'], resources: ['replicasets'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

/**
 * Beside them. A right on nothing that exists: it marks the account that runs this install, so that the admission policies know it in
 * whatever namespace Kustomize puts it.
 */
export const installRules = (install: string): readonly PolicyRule[] => [
  { apiGroups: ['portforward.dev'], resources: ['installs'], verbs: ['run'], resourceNames: [install] },
];

/** In the operator's own namespace only: the Lease, which cannot be named before it exists, and Events about its own pods. */
export const leaseRules = (leaseName: string): readonly PolicyRule[] => [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'update'], resourceNames: [leaseName] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];
