// Which parts of the API server's answers are read at all. The rest is dropped while it is still bytes, so that nobody who may write an
// object decides how much memory a read of it takes.
// Neighbours: rest/json-sieve.ts (drops the rest), cache/reflector.ts (asks with an outline).

/**
 * What to keep of a JSON value. true: all of it; false: nothing. An object names members of an object, `*` those that it does not name
 * (default: dropped). It holds for each entry of a list, and keeps any other value whole.
 */
export type Outline = boolean | { readonly [member: string]: Outline };

/** All of an object but `managedFields`, which are often more than the rest and serve the API server alone. */
export const withoutManagedFields = { '*': true, metadata: { '*': true, managedFields: false } } as const;

/** The annotation of the bookmark that ends the initial events of a watch. */
export const initialEventsEnd = 'k8s.io/initial-events-end';

/** The outline of a watch event whose object has `outline`. */
export function eventOutline(outline: Outline): Outline {
  return { type: true, object: withMember(outline, ['metadata', 'annotations', initialEventsEnd]) };
}

/** `outline` that also keeps the member at `path`. */
function withMember(outline: Outline, path: readonly string[]): Outline {
  const [name, ...deeper] = path;
  if (name === undefined || outline === true) return true;
  const members = outline === false ? {} : outline;
  return { ...members, [name]: withMember(members[name] ?? members['*'] ?? false, deeper) };
}
