// What a misspelt field may have been meant as: the nearest field that stands at its place.
// Neighbours: parse.ts (complains about unknown fields), portforward.ts (the schema).
import type { z } from 'zod';
import type { SchemaDescription } from './schema-description.ts';

/** The field at `path` that `name` is nearest to: another case, or at most two letters away. Undefined if none is. */
export function nearestField(schema: z.ZodType, path: readonly PropertyKey[], name: string): string | undefined {
  const at = path.reduce<unknown>((outer, segment) => within(outer, segment), schema);
  const [best] = fieldsOf(at)
    .map((field) => ({ field, distance: distanceOf(name.toLowerCase(), field.toLowerCase()) }))
    .filter(({ field, distance }) => distance <= Math.min(2, Math.floor(field.length / 3)))
    .toSorted((a, b) => a.distance - b.distance);
  return best?.field;
}

/** Without defaults and optionality around it. */
function bare(schema: unknown): SchemaDescription | undefined {
  let at = schema as SchemaDescription | undefined;
  while (at?.def?.innerType !== undefined || at?.def?.in !== undefined)
    at = (at.def.innerType ?? at.def.in) as SchemaDescription;
  return at;
}

function within(schema: unknown, segment: PropertyKey): unknown {
  const def = bare(schema)?.def;
  return typeof segment === 'number' ? def?.element : def?.shape?.[String(segment)];
}

const fieldsOf = (schema: unknown): readonly string[] => Object.keys(bare(schema)?.def?.shape ?? {});

/** How many letters must be added, left out or replaced (Levenshtein). Both texts are short: the names of fields. */
function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
