// zod's issues as sentences for people, and paths as the API server writes them.
// Neighbours: parse.ts.
import type { z } from 'zod';

/** `spec.ports[1].port`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((written, segment) => {
    if (typeof segment === 'number') return `${written}[${segment}]`;
    return written === '' ? String(segment) : `${written}.${String(segment)}`;
  }, '');
}

/** What the issue means, in one clause that follows `<path>: `. */
export function sentenceOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return 'unknown field: remove it, or correct its spelling';
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `must be ${article(issue.expected)}`;
    case 'invalid_value':
      return `must be ${anyOf(issue.values.map(String))}${typeof issue.input === 'boolean' ? yamlHint : ''}`;
    case 'too_big':
      return tooBig(issue);
    case 'too_small':
      return tooSmall(issue);
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_element':
    case 'invalid_union':
    case 'not_multiple_of':
    case 'custom':
      return issue.message;
  }
}

/** YAML 1.1, which kubectl reads, has several words for true and false; one of them is a mode of healthCheck. */
const yamlHint = ' (in quotes: YAML reads a bare on, off, yes or no as true or false)';

const anyOf = (values: readonly string[]): string =>
  values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;

function tooBig({ origin, maximum }: z.core.$ZodIssueTooBig): string {
  if (origin === 'string') return `must have at most ${maximum} characters`;
  return origin === 'array' ? `must have at most ${maximum} items` : `must be at most ${maximum}`;
}

function tooSmall({ origin, minimum }: z.core.$ZodIssueTooSmall): string {
  if (origin === 'string') return minimum === 1 ? 'must not be empty' : `must have at least ${minimum} characters`;
  if (origin !== 'array') return `must be at least ${minimum}`;
  return minimum === 1 ? 'must have at least one item' : `must have at least ${minimum} items`;
}

function article(expected: string): string {
  switch (expected) {
    case 'int':
    case 'number':
      return 'a whole number';
    case 'string':
      return 'a text (quote it)';
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    default:
      return 'an object';
  }
}
