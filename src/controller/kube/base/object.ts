// Kubernetes objects as they are on the wire: plain JSON, dates as strings, wire names of fields. Every file of this
// folder passes them on untouched; only the model types of the client library are bent to that shape (`Wire`).

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly managedFields?: readonly unknown[];
}

/** What every object has; `apiVersion` and `kind` are filled in where the API server leaves them out (items of lists). */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

type WireName<Name> = Name extends '_from' ? 'from' : Name extends '_continue' ? 'continue' : Name;

/** A model type of the client library as it is on the wire. */
type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [Name in keyof T as WireName<Name>]: Wire<T[Name]> }
      : T;

/** A whole object of the client library's models, such as `WireObject<V1Deployment>`. */
export type WireObject<T> = Omit<Wire<T>, 'apiVersion' | 'kind' | 'metadata'> & KubeObject;

/** One kind of the API: where it lives, and (in the type) what it looks like. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Of reads and watches: the API server sends the metadata alone. */
  readonly metadataOnly?: boolean;
  /** Never set: it ties the type to the value. */
  readonly shape?: T;
}

/** `apiVersion` of a resource: `v1`, `apps/v1`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** `namespace/name`, or `name` for objects without a namespace. It is the key of caches and queues. */
export type ObjectKey = string;

export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

export function keyOf({ namespace, name }: ObjectName): ObjectKey {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

export function nameOf(key: ObjectKey): ObjectName {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Orders two resourceVersions of one resource: they are decimal numbers of any length (comparable since Kubernetes 1.35, KEP-5504). */
export function compareResourceVersion(a: string | undefined, b: string | undefined): number {
  const left = a ?? '';
  const right = b ?? '';
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The owner that is responsible for an object: its `controller: true` reference. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** The reference that makes `owner` the controller of an object; the garbage collector then deletes the object with its owner. */
export function ownedBy(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  if (metadata.uid === undefined) throw new TypeError(`${kind} ${keyOf(metadata)} has no uid and cannot own anything`);
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true };
}
