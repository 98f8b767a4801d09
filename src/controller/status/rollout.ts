// Whether the pods of a Deployment are being replaced. Pure.
// Neighbours: kstatus.ts (reports it), ../ensure-children.ts (keeps the ServiceAccount of the older pods meanwhile).
import type { Deployment } from '../kube/base/resources.ts';

/**
 * The rollout in progress, as `kubectl rollout status` reports it; undefined if there is none. Unready or missing pods after a complete
 * rollout do not count.
 */
export function rollout(
  deployment: Deployment | undefined,
): { readonly stuck: boolean; readonly message: string } | undefined {
  if (deployment?.spec === undefined) return undefined;
  const { metadata, spec, status } = deployment;
  const wanted = spec.replicas ?? 1;
  const updated = status?.updatedReplicas ?? 0;
  const all = status?.replicas ?? 0;
  const observed = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
  const complete = updated >= wanted || progressing?.reason === 'NewReplicaSetAvailable';
  if (observed && complete && all <= updated) return undefined;
  return {
    stuck: observed && progressing?.status === 'False',
    message: `${updated} of ${wanted} pods are of the present document; ${Math.max(0, all - updated)} older ones remain.`,
  };
}
