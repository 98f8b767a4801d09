// Does the live object still say what we said? The API server fills in defaults, drops what is empty, writes quantities
// its own way and keeps other owners' entries in maps and keyed lists; none of that is a difference. Pure.
import { amountOf } from '../../../contract/api/amount.ts';

/** Lists that the API merges by these fields; every other list is one value. The first match whose fields all exist in the entry counts. */
const listKeys: Readonly<Record<string, readonly (readonly string[])[]>> = {
  conditions: [['type']],
  containers: [['name']],
  env: [['name']],
  ephemeralContainers: [['name']],
  hostAliases: [['ip']],
  imagePullSecrets: [['name']],
  initContainers: [['name']],
  ownerReferences: [['uid']],
  // Containers, then Services. A NetworkPolicy's port has a policyTypes sibling and is one value (see `atomic`).
  ports: [
    ['containerPort', 'protocol'],
    ['port', 'protocol'],
  ],
  topologySpreadConstraints: [['topologyKey', 'whenUnsatisfiable']],
  volumeMounts: [['mountPath']],
  volumes: [['name']],
};

/** Objects and lists that the API replaces as a whole: an entry we did not write changes their meaning. */
const atomic: ReadonlySet<string> = new Set([
  'egress',
  'ingress',
  'labelSelector',
  'namespaceSelector',
  'nodeSelector',
  'podSelector',
  'selector',
]);

/** What the API server writes into whole values on its own. */
const defaults: Readonly<Record<string, unknown>> = {
  apiVersion: 'v1',
  defaultMode: 420,
  expirationSeconds: 3_600,
  protocol: 'TCP',
};

/** Where `{}` says something that absence does not. */
const meaningfulWhenEmpty: ReadonlySet<string> = new Set(['emptyDir', 'namespaceSelector', 'podSelector']);

/** Fields whose `false` or 0 the API server does not keep. Elsewhere (`allowPrivilegeEscalation`) absence is not `false`. */
const droppedWhenZero: ReadonlySet<string> = new Set([
  'hostIPC',
  'hostNetwork',
  'hostPID',
  'initialDelaySeconds',
  'minReadySeconds',
  'paused',
  'publishNotReadyAddresses',
  'readOnly',
  'stdin',
  'tty',
]);

const quantityMaps: ReadonlySet<string> = new Set(['limits', 'requests']);

interface Place {
  /** The field's name; for an entry of a list, the list's. */
  readonly field: string;
  /** Inside a value that must be equal as a whole. */
  readonly whole: boolean;
  readonly quantity: boolean;
}

/** Whether everything that `desired` says holds in `live`, as the API means it. */
export function isSubset(desired: unknown, live: unknown): boolean {
  return holds(desired, live, { field: '', whole: false, quantity: false });
}

function holds(desired: unknown, live: unknown, place: Place): boolean {
  if (live === undefined || live === null) return mayBeAbsent(place.field, desired);
  if (Array.isArray(desired)) return Array.isArray(live) && listHolds(desired, live, place);
  if (isRecord(desired)) return isRecord(live) && recordHolds(desired, live, place);
  return scalarHolds(desired, live, place);
}

function recordHolds(desired: Record<string, unknown>, live: Record<string, unknown>, place: Place): boolean {
  const whole = place.whole || atomic.has(place.field);
  const holdsAll = Object.entries(desired).every(([field, value]) =>
    holds(value, own(live, field), {
      field,
      whole: whole || atomic.has(field),
      quantity: quantityMaps.has(place.field) || field === 'sizeLimit',
    }),
  );
  if (!holdsAll || !whole) return holdsAll;
  return Object.entries(live).every(
    ([field, value]) =>
      own(desired, field) !== undefined || own(defaults, field) === value || mayBeAbsent(field, value),
  );
}

function listHolds(desired: readonly unknown[], live: readonly unknown[], place: Place): boolean {
  const keys = place.whole ? undefined : keysOf(place.field, desired);
  if (keys === undefined) {
    const entry = { ...place, whole: true };
    return desired.length === live.length && desired.every((value, at) => holds(value, live[at], entry));
  }
  return desired.every((value) => {
    const wanted = identity(value, keys);
    const match = live.find((candidate) => identity(candidate, keys) === wanted);
    return match !== undefined && holds(value, match, place);
  });
}

function scalarHolds(desired: unknown, live: unknown, place: Place): boolean {
  if (desired === live) return true;
  if (place.quantity) {
    const [left, right] = [amountOf(desired), amountOf(live)];
    return left !== undefined && left === right;
  }
  // IntOrString may change its JSON type on the way.
  return (
    typeof desired !== typeof live && isIntOrString(desired) && isIntOrString(live) && String(desired) === String(live)
  );
}

function keysOf(field: string, list: readonly unknown[]): readonly string[] | undefined {
  const first = list[0];
  if (!isRecord(first)) return undefined;
  // A key with a default (protocol) may be left out.
  return own(listKeys, field)?.find((keys) => keys.every((key) => first[key] !== undefined || key in defaults));
}

function identity(entry: unknown, keys: readonly string[]): string | undefined {
  return isRecord(entry) ? JSON.stringify(keys.map((key) => entry[key] ?? defaults[key])) : undefined;
}

/** Whether the API server may leave a field of this value out. */
function mayBeAbsent(field: string, value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (value === false || value === 0) return droppedWhenZero.has(field);
  if (meaningfulWhenEmpty.has(field)) return false;
  return Array.isArray(value)
    ? value.length === 0
    : isRecord(value) && Object.entries(value).every(([name, inner]) => mayBeAbsent(name, inner));
}

/** Never what every object inherits: fields may be named by others, as labels are. */
function own<T>(record: Readonly<Record<string, T>>, field: string): T | undefined {
  return Object.hasOwn(record, field) ? record[field] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isIntOrString(value: unknown): value is number | string {
  return typeof value === 'number' || typeof value === 'string';
}
