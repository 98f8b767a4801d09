// Whether two values are the same on the wire, in 32 characters. Pure. Neighbours: apply/apply.ts marks what it applied, children/pod.ts
// rolls pods when their identity changes.
import { createHash } from 'node:crypto';

/** A hash of the JSON of `value` that does not depend on the order of its fields: 32 hexadecimal digits. */
export function hashOf(value: unknown): string {
  const sorted = JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
  return createHash('sha256').update(sorted).digest('hex').slice(0, 32);
}
