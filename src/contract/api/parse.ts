// unknown → PortForward: constant defaults applied, every complaint with its field path in the API server's way of writing it.
// Neighbours: portforward.ts (the schema), sentence.ts (what zod's issues mean to a person), verdict.ts (one document of a file).

import type { z } from 'zod';
import { type PortForward, PortForwardSchema } from './portforward.ts';
import { pathText, sentenceOf } from './sentence.ts';
import { nearestField } from './spelling.ts';
import { statusSchema } from './status.ts';

/** One complaint: `spec.ports[1].port` and a sentence. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

export type Parsed =
  | { readonly ok: true; readonly value: PortForward }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/**
 * Parses a document or a stored object as the API server would: unknown fields are refused, null counts as absent, a status is not
 * judged (the server ignores it in documents; one that does not fit is left out). Never throws; at least one issue when not ok.
 */
export function parsePortForward(document: unknown): Parsed {
  const { status, rest } = withoutStatus(document);
  const first = judge(rest);
  if (first.success) return { ok: true, value: withStatus(first.data, status) };
  // The server prunes null before it judges, but an unknown field is refused even if it is null.
  const second = judge(withoutNulls(rest));
  const unknownFields = first.error.issues.filter((issue) => issue.code === 'unrecognized_keys');
  if (second.success && unknownFields.length === 0) return { ok: true, value: withStatus(second.data, status) };
  const others = second.success ? [] : second.error.issues.filter((issue) => issue.code !== 'unrecognized_keys');
  return { ok: false, issues: [...unknownFields, ...others].flatMap(issuesOf) };
}

/**
 * Parses a stored object, leaving out fields that this version does not know: during an upgrade the CRD may be newer than the
 * controller, and its new defaulted fields appear in every object. Use it in the controller; `parsePortForward` for documents.
 */
export function parseStoredPortForward(object: unknown): Parsed {
  const parsed = PortForwardSchema.safeParse(withoutStatus(object).rest);
  const unknownFields = parsed.error?.issues.filter((issue) => issue.code === 'unrecognized_keys') ?? [];
  if (unknownFields.length === 0) return parsePortForward(object);
  const copy = structuredClone(object);
  for (const { path, keys } of unknownFields) {
    const parent = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)[key], copy);
    for (const key of keys) delete (parent as Record<string, unknown>)[key];
  }
  return parsePortForward(copy);
}

// A missing value and a wrong one are told apart by the input.
const judge = (document: unknown) => PortForwardSchema.safeParse(document, { reportInput: true });

function issuesOf(issue: z.core.$ZodIssue): Issue[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const meant = nearestField(PortForwardSchema, issue.path, key);
      const message = meant === undefined ? sentenceOf(issue) : `unknown field: did you mean ${meant}?`;
      return { path: pathText([...issue.path, key]), message };
    });
  }
  return [{ path: pathText(issue.path), message: sentenceOf(issue) }];
}

function withoutStatus(document: unknown): { status: unknown; rest: unknown } {
  if (!isObject(document)) return { status: undefined, rest: document };
  const { status, ...rest } = document;
  return { status, rest };
}

function withStatus(value: PortForward, status: unknown): PortForward {
  const parsed = statusSchema.safeParse(status);
  return parsed.success ? { ...value, status: parsed.data } : value;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === null ? [] : [[key, withoutNulls(item)] as const])),
  );
}
