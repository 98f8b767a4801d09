// Where objects and their collections are below the API server's root.
// Neighbour: kube.ts (the verbs).
import type { ObjectName, Resource } from '../base/object.ts';

/** Of all namespaces if none is named. */
export function collectionOf({ group, version, plural, namespaced }: Resource, namespace: string | undefined): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const inside = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${inside}/${plural}`;
}

/** @throws TypeError without a name, or without the namespace that the kind needs */
export function pathOf(resource: Resource, { namespace, name }: ObjectName): string {
  // Without this a missing namespace or name would silently address the collection.
  if (name === '' || (resource.namespaced && (namespace === undefined || namespace === ''))) {
    throw new TypeError(`${resource.kind} needs a name${resource.namespaced ? ' and a namespace' : ''}`);
  }
  return `${collectionOf(resource, namespace)}/${encodeURIComponent(name)}`;
}
