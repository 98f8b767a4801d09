// The kind that this controller acts on, as it is on the wire, and the step from there to a document that is known to be valid.
// Neighbours: contract/api (the schema), reconcile.ts (the pass), children/ and status/ (what is computed from it).
import {
  apiVersion,
  group,
  kind,
  maxReconnectAtLength,
  plural,
  reconnectAnnotation,
  version,
} from '../../contract/api/names.ts';
import { parseStoredPortForward } from '../../contract/api/parse.ts';
import type { PortForwardSpec } from '../../contract/api/portforward.ts';
import type { PortForwardStatus } from '../../contract/api/status.ts';
import { defined } from '../../contract/defined.ts';
import { TunnelError } from '../../contract/errors.ts';
import type { KubeObject, ObjectMeta, Resource } from '../kube/base/object.ts';
import type { Outline } from '../kube/base/outline.ts';

/** A PortForward as the API server stores it: its spec may be older or newer than our schema. */
export interface StoredPortForward extends KubeObject {
  readonly spec?: unknown;
  readonly status?: PortForwardStatus;
}

/** A PortForward whose spec passed the schema: constant defaults are filled in. Its metadata is the API server's. */
export interface ValidPortForward extends KubeObject {
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec: PortForwardSpec;
}

export const portForwards: Resource<StoredPortForward> = { group, version, kind, plural, namespaced: true };

/** The valid document in a stored object. @throws TunnelError InvalidSpec, naming each field that is wrong. */
export function validPortForward(stored: StoredPortForward): ValidPortForward {
  const { metadata, spec } = stored;
  if (metadata.namespace === undefined) throw new TypeError(`PortForward ${metadata.name} has no namespace`);
  const parsed = parseStoredPortForward({ apiVersion, kind, metadata: { name: metadata.name }, spec });
  if (!parsed.ok) {
    const complaints = parsed.issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ');
    throw new TunnelError('InvalidSpec', complaints);
  }
  return { apiVersion, kind, metadata: { ...metadata, namespace: metadata.namespace }, spec: parsed.value.spec };
}

/** Which install of the operator a stored object asks for. Read without the schema, so that an invalid one still has an owner. */
export function classNameOf(stored: StoredPortForward): string {
  const { spec } = stored;
  if (typeof spec !== 'object' || spec === null || !('className' in spec)) return '';
  return typeof spec.className === 'string' ? spec.className : '';
}

/** What is read of a stored object; `projectPortForward` names the reason. */
export const portForwardOutline: Outline = {
  '*': true,
  metadata: {
    name: true,
    namespace: true,
    uid: true,
    resourceVersion: true,
    generation: true,
    creationTimestamp: true,
    deletionTimestamp: true,
    annotations: { [reconnectAnnotation]: true },
  },
};

/** What a pass needs of a stored object: anybody who may write it may hang a quarter of a megabyte of annotations and more on it. */
export function projectPortForward({
  apiVersion: version,
  kind: of,
  metadata,
  spec,
  status,
}: StoredPortForward): StoredPortForward {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } = metadata;
  const reconnectAt = metadata.annotations?.[reconnectAnnotation];
  return defined({
    apiVersion: version,
    kind: of,
    metadata: defined({
      name,
      namespace,
      uid,
      resourceVersion,
      generation,
      creationTimestamp,
      deletionTimestamp,
      annotations: reconnectAt === undefined ? undefined : { [reconnectAnnotation]: shortened(reconnectAt) },
    }),
    spec,
    status,
  });
}

/** One character more than is allowed shows that it was too long. Through a buffer: a part of a text would keep all of it in memory. */
const shortened = (text: string): string =>
  text.length <= maxReconnectAtLength ? text : Buffer.from(text.slice(0, maxReconnectAtLength + 1)).toString();
