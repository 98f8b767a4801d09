// Repairs drift that server-side apply cannot: somebody changed the key of a list entry (a Service's port number), so an apply would add
// our entry beside theirs and the object would be invalid. A merge patch puts our lists in place of what is there, and leaves no owner of
// fields behind, so that the apply after it owns them alone and may remove them one day.
// Neighbour: apply.ts calls it when the API server refuses an apply as invalid.

import { type KubeObject, keyOf, nameOf, type Resource } from '../base/object.ts';
import type { Kube } from '../rest/kube.ts';

const repairManager = 'portforward-operator-repair';

/** Resolves once the object's spec is `wanted`'s, lists included. @throws ApiError, `isConflict` when `live` is no longer the newest. */
export async function replaceSpec<T extends KubeObject>(
  kube: Kube,
  resource: Resource<T>,
  wanted: KubeObject,
  live: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  const name = nameOf(keyOf(live.metadata));
  const call = { signal, fieldManager: repairManager };
  const { resourceVersion, uid } = live.metadata;
  const { spec } = wanted as { readonly spec?: unknown };
  const patched = await kube.mergePatch(resource, name, { metadata: { resourceVersion, uid }, spec }, call);
  const entries = (patched.metadata as { readonly managedFields?: readonly { readonly manager?: string }[] })
    .managedFields;
  const others = entries?.filter(({ manager }) => manager !== repairManager) ?? [];
  await kube.mergePatch(
    resource,
    name,
    { metadata: { resourceVersion: patched.metadata.resourceVersion, uid, managedFields: others } },
    call,
  );
}
