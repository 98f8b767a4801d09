// zod → structural OpenAPI schema, as CustomResourceDefinitions want it. Fails closed: a zod type, check or keyword that is not known
// here to survive the way into the CRD throws, because zod's own converter drops refinements, record keys and unions silently.
// Neighbours: crd.ts (the CRD around it), src/contract/api/rule.ts (checks with a twin).
import { z } from 'zod';
import { hasTwin } from '../../src/contract/api/rule.ts';

/** One node of a structural schema; only the keywords that the API needs. */
export interface Structural {
  type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description?: string;
  default?: unknown;
  format?: string;
  enum?: string[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  items?: Structural;
  properties?: Record<string, Structural>;
  required?: string[];
  additionalProperties?: Structural;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-validations'?: { rule: string; message: string; fieldPath?: string }[];
}

/** Keywords that may come from `.meta()`; all others are computed. */
const metaKeywords = new Set([
  'description',
  'format',
  'pattern',
  'maxLength',
  'maxProperties',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-int-or-string',
  'x-kubernetes-validations',
]);

/** The structural schema of a zod schema. @throws Error naming the path of what cannot be converted. */
export function structural(schema: z.ZodType, path: string): Structural {
  const node = { ...shapeOf(schema, path), ...keywordsOf(schema, path) };
  refuseUnbounded(node, path);
  return node;
}

function shapeOf(schema: z.ZodType, path: string): Structural {
  if (schema instanceof z.ZodExactOptional) return structural(inner(schema), path);
  if (schema instanceof z.ZodDefault) return { ...structural(inner(schema), path), default: schema.def.defaultValue };
  // Whole, because the API server judges a default by the CEL rules before it fills in the defaults inside.
  if (schema instanceof z.ZodPrefault) return { ...structural(inner(schema), path), default: schema.parse(undefined) };
  if (schema instanceof z.ZodString) return { type: 'string', ...stringChecks(schema, path) };
  if (schema instanceof z.ZodNumber) return { type: 'integer', ...numberChecks(schema, path) };
  if (schema instanceof z.ZodBoolean) return { type: 'boolean', ...noChecks(schema, path) };
  if (schema instanceof z.ZodEnum)
    return { type: 'string', enum: schema.options.map(String), ...noChecks(schema, path) };
  if (schema instanceof z.ZodArray) return array(schema as z.ZodArray<z.ZodType>, path);
  if (schema instanceof z.ZodObject) return object(schema, path);
  if (schema instanceof z.ZodRecord) {
    noChecks(schema, path);
    return { type: 'object', additionalProperties: structural(schema.valueType as z.ZodType, `${path}.*`) };
  }
  if (schema instanceof z.ZodUnion) return intOrString(schema as z.ZodUnion<readonly z.ZodType[]>, path);
  throw new Error(`${path}: zod type ${schema.def.type} has no structural form`);
}

const inner = (schema: { readonly def: { readonly innerType: z.core.$ZodType } }): z.ZodType =>
  schema.def.innerType as z.ZodType;

function array(schema: z.ZodArray<z.ZodType>, path: string): Structural {
  const limits: Structural = {};
  for (const check of checksOf(schema, path)) {
    if (isLength(check, 'min_length')) {
      if (check.minimum > 0) limits.minItems = check.minimum;
    } else if (isLength(check, 'max_length')) limits.maxItems = check.maximum;
    else throw new Error(`${path}: check ${check.check} of a list has no structural form`);
  }
  return { type: 'array', ...limits, items: structural(schema.element, `${path}[]`) };
}

function object(schema: z.ZodObject, path: string): Structural {
  noChecks(schema, path);
  if (!(schema.def.catchall instanceof z.ZodNever)) throw new Error(`${path}: an object must be strict`);
  const properties: Record<string, Structural> = {};
  const required: string[] = [];
  for (const [key, value] of Object.entries(schema.shape as Record<string, z.ZodType>)) {
    const property = structural(value, `${path}.${key}`);
    if (property.description === undefined) throw new Error(`${path}.${key}: has no description`);
    properties[key] = property;
    const optional =
      value instanceof z.ZodExactOptional || value instanceof z.ZodDefault || value instanceof z.ZodPrefault;
    if (!optional) required.push(key);
  }
  return required.length === 0 ? { type: 'object', properties } : { type: 'object', properties, required };
}

/** The one union that a CRD can say. */
function intOrString(schema: z.ZodUnion<readonly z.ZodType[]>, path: string): Structural {
  noChecks(schema, path);
  const meta = schema.meta() ?? {};
  const [first, second, ...more] = schema.options;
  const fits = first instanceof z.ZodNumber && second instanceof z.ZodString && more.length === 0;
  const pattern = fits ? stringChecks(second, path).pattern : undefined;
  if (meta['x-kubernetes-int-or-string'] !== true || pattern === undefined || pattern !== meta['pattern']) {
    throw new Error(`${path}: a union must be int-or-string, with the text's pattern in its meta`);
  }
  return {};
}

function stringChecks(schema: z.ZodString, path: string): Structural {
  const limits: Structural = {};
  for (const check of checksOf(schema, path)) {
    if (isLength(check, 'min_length')) limits.minLength = check.minimum;
    else if (isLength(check, 'max_length')) limits.maxLength = check.maximum;
    else if (check.check === 'string_format' && 'pattern' in check && check.pattern instanceof RegExp) {
      if (limits.pattern !== undefined) throw new Error(`${path}: a CRD holds one pattern of a text, not two`);
      limits.pattern = portable(check.pattern, path);
    } else throw new Error(`${path}: check ${check.check} of a text has no structural form`);
  }
  return limits;
}

/** CRDs compile patterns with RE2, which reads `\p{…}` as JavaScript does with the flag u. */
function portable(pattern: RegExp, path: string): string {
  if (!['', 'u'].includes(pattern.flags) || /\(\?[=!<]|\\[1-9]/.test(pattern.source)) {
    throw new Error(`${path}: RE2 cannot read ${String(pattern)}`);
  }
  return pattern.source;
}

function numberChecks(schema: z.ZodNumber, path: string): Structural {
  let whole = schema instanceof z.ZodNumberFormat;
  const limits: Structural = {};
  for (const check of checksOf(schema, path)) {
    if (check.check === 'number_format') whole = true;
    else if (isBound(check, 'greater_than')) limits.minimum = Number(check.value);
    else if (isBound(check, 'less_than')) limits.maximum = Number(check.value);
    else throw new Error(`${path}: check ${check.check} of a number has no structural form`);
  }
  const { minimum, maximum } = limits;
  if (!whole || minimum === undefined) throw new Error(`${path}: a number must be whole and have a minimum`);
  const unbounded = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER;
  if (unbounded) return { format: 'int64', minimum };
  return { format: maximum < 2 ** 31 ? 'int32' : 'int64', minimum, maximum };
}

function noChecks(schema: z.ZodType, path: string): Structural {
  for (const check of checksOf(schema, path)) throw new Error(`${path}: check ${check.check} has no structural form`);
  return {};
}

/** The checks that need a keyword: those made with a CEL rule or another twin have theirs in the meta. */
function checksOf(schema: z.ZodType, path: string): z.core.$ZodCheckDef[] {
  return (schema.def.checks ?? []).flatMap((check) => {
    if (check._zod.def.check !== 'custom') return [check._zod.def];
    if (!hasTwin(check)) throw new Error(`${path}: a refinement without a CEL twin would be lost: use withRules`);
    return [];
  });
}

const isLength = <K extends 'min_length' | 'max_length'>(
  check: z.core.$ZodCheckDef,
  kind: K,
): check is K extends 'min_length' ? z.core.$ZodCheckMinLengthDef : z.core.$ZodCheckMaxLengthDef =>
  check.check === kind;

const isBound = (
  check: z.core.$ZodCheckDef,
  kind: 'greater_than' | 'less_than',
): check is z.core.$ZodCheckGreaterThanDef =>
  check.check === kind && 'inclusive' in check && check.inclusive === true && 'value' in check;

function keywordsOf(schema: z.ZodType, path: string): Structural {
  const meta = schema.meta() ?? {};
  for (const keyword of Object.keys(meta)) {
    if (!metaKeywords.has(keyword)) throw new Error(`${path}: keyword ${keyword} is not known to be structural`);
  }
  return meta as Structural;
}

/** Without bounds on everything the API server refuses CEL rules for their estimated cost. */
function refuseUnbounded(node: Structural, path: string): void {
  const needs = (keyword: keyof Structural): void => {
    if (node[keyword] === undefined) throw new Error(`${path}: a ${node.type ?? 'value'} needs ${keyword}`);
  };
  if (node.type === 'string' && node.enum === undefined) needs('maxLength');
  if (node.type === 'array') {
    needs('maxItems');
    needs('x-kubernetes-list-type');
    refuseBadKeys(node, path);
  }
  if (node.additionalProperties !== undefined) needs('maxProperties');
  if (node['x-kubernetes-int-or-string']) needs('maxLength');
}

function refuseBadKeys(node: Structural, path: string): void {
  const isMap = node['x-kubernetes-list-type'] === 'map';
  const keys = node['x-kubernetes-list-map-keys'] ?? [];
  if (isMap !== keys.length > 0) throw new Error(`${path}: a list by key names its keys, others have none`);
  for (const key of keys) {
    const isGiven = node.items?.required?.includes(key) || node.items?.properties?.[key]?.default !== undefined;
    if (!isGiven) throw new Error(`${path}: key ${key} must be required or have a default`);
  }
}

/** The sentences of all rules of a schema, each once. */
export function ruleSentences(node: Structural): string[] {
  const own = (node['x-kubernetes-validations'] ?? []).map(({ message }) => message);
  const children = [...Object.values(node.properties ?? {}), node.items, node.additionalProperties];
  return [...new Set([...own, ...children.flatMap((child) => (child === undefined ? [] : ruleSentences(child)))])];
}
