// The few shapes that every block of the API is made of: bounded texts, numbers, lists and maps. They exist because the CRD needs a
// bound on everything (CEL cost) and a merge strategy on every list, and because a plain zod list or record would lose its checks there.
// Neighbours: rule.ts; used by every file of this folder.
import { z } from 'zod';
import { celPattern, type Rule, withRules, withTwin } from './rule.ts';

/** A text of at most `max` characters whose own pattern says which; `min` 1 refuses an empty one. */
export const boundedText = (max: number, min = 0) => (min === 0 ? z.string().max(max) : z.string().min(min).max(max));

/** Control and format characters and separators of lines: a terminal that prints them shows something else than what is stored. */
const plain = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u;

/** True without control and format characters and separators of lines. */
export const isPlain = (value: string): boolean => plain.test(value);

/** The same, with line ends and tabs. */
const plainLines = /^([^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|[\t\n\r])*$/u;

const plainSentence =
  'must not have control or format characters (line ends, tabs, escape, zero-width or direction marks): remove them';

/** A text of at most `max` characters without control and format characters; `min` 1 refuses an empty one. */
export const text = (max: number, min = 0) => boundedText(max, min).regex(plain, plainSentence);

/** A text of several lines, without other control and format characters. */
export const lines = (max: number) =>
  boundedText(max).regex(
    plainLines,
    'must not have control or format characters except line ends and tabs: remove them (escape, zero-width or direction marks)',
  );

/** A whole number of a closed range. */
export const integer = (min: number, max: number) => z.int().min(min).max(max);

/** A list whose order means something: replaced as a whole by server-side apply. */
export const orderedList = <S extends z.ZodType>(item: S, max: number, min = 0) =>
  withTwin(z.array(item).min(min).max(max), { 'x-kubernetes-list-type': 'atomic' }, () => []);

/** A list of texts, each at most once. */
export const setOf = <S extends z.ZodType<string>>(item: S, max: number, min = 0) =>
  withTwin(z.array(item).min(min).max(max), { 'x-kubernetes-list-type': 'set' }, (items) =>
    repeated(items, (value) => value).map((index) => ({
      path: [index],
      message: `${String(items[index])} is in the list twice: remove one`,
    })),
  );

/** A list whose items are told apart (and merged by server-side apply) by one required field. */
export const listBy = <S extends z.ZodType>(key: keyof z.output<S> & string, item: S, max: number, min = 0) =>
  withTwin(
    z.array(item).min(min).max(max),
    { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] },
    (items) =>
      repeated(items, (value) => value[key]).map((index) => ({
        path: [index],
        message: `${key} ${String(items[index]?.[key])} is in the list twice: remove one, or give it another ${key}`,
      })),
  );

/** The places of those whose key has been there before. */
export function repeated<T>(items: readonly T[], keyOf: (item: T) => unknown): number[] {
  const seen = new Set<unknown>();
  return items.flatMap((item, index) => {
    const key = keyOf(item);
    if (seen.has(key)) return [index];
    seen.add(key);
    return [];
  });
}

/** A map of at most `max` entries. CRDs cannot bound or check keys, so the CEL rules given here do. */
export const mapOf = <S extends z.ZodType>(
  value: S,
  max: number,
  rules: readonly Rule<Record<string, z.output<S>>>[],
) =>
  withRules(
    withTwin(z.record(z.string(), value), { maxProperties: max }, (entries) =>
      Object.keys(entries).length <= max ? [] : [{ path: [], message: `must have at most ${max} entries` }],
    ),
    rules as readonly Rule<Record<string, unknown>>[],
  );

/** The rule that every key of a map matches; `unless` inverts it. */
export function keysMatch<T>(pattern: RegExp, message: string, wanted = true): Rule<Record<string, T>> {
  return {
    rule: `self.all(key, ${wanted ? '' : '!'}key.matches(${celPattern(pattern)}))`,
    message,
    check: (entries) => Object.keys(entries).every((key) => pattern.test(key) === wanted),
  };
}
