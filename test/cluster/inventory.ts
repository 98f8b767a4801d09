// What there is in the cluster, as a list of names that two moments can be compared by.
// Neighbour: release.test.ts asks what an uninstall leaves.
import type { Cluster } from '../../lab/cluster/cluster.ts';

/** Kinds whose objects come and go by themselves, that stand for Services of any namespace, or that only compute an answer. */
const unsteady = /^(events(\.|$)|leases\.|ipaddresses\.|componentstatuses$|bindings$)/;

/** The names of all objects of all kinds, `kind/name`, sorted: those of a namespace, or those of no namespace. */
export async function inventory(cluster: Cluster, namespace?: string): Promise<string[]> {
  const kinds = await cluster.kubectl([
    'api-resources',
    '--verbs=list',
    `--namespaced=${namespace !== undefined}`,
    '--output=name',
  ]);
  const steady = kinds
    .trim()
    .split('\n')
    .filter((kind) => !unsteady.test(kind));
  const where = namespace === undefined ? [] : ['--namespace', namespace];
  const names = await cluster.kubectl(['get', steady.join(','), ...where, '--ignore-not-found', '--output', 'name']);
  return names.trim().split('\n').toSorted();
}
