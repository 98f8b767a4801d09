// Every field that a schema knows, as a path. Neighbours: portforward.ts (the schema), ../../controller/install-check.ts (asks the API server
// for the same fields).
import type { z } from 'zod';
import type { SchemaDescription } from './schema-description.ts';

/** The paths of all fields, each after the one that it is in: `ports`, `ports.port`. A list adds nothing to a path; keys of maps are no fields. */
export function fieldPaths(schema: z.ZodType): string[] {
  return pathsOf(schema, []);
}

function pathsOf(schema: unknown, at: readonly string[]): string[] {
  const def = (schema as SchemaDescription | undefined)?.def;
  const inner = def?.innerType ?? def?.in ?? def?.element;
  if (inner !== undefined) return pathsOf(inner, at);
  return Object.entries(def?.shape ?? {}).flatMap(([name, field]) => {
    const path = [...at, name];
    return [path.join('.'), ...pathsOf(field, path)];
  });
}
