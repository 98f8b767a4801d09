// Assertions about lists whose failure shows values: which ones break the rule, or what was there instead of the one that was wanted.
// Neighbours: every tier uses them in place of `assert(list.every(…))`, which says only "false".
import assert from 'node:assert/strict';
import { inspect } from 'node:util';

/** Passes if the rule holds for every item; else names those that break it with their places. `label` says what must hold. */
export function assertEvery<T>(items: Iterable<T>, rule: (item: T, index: number) => boolean, label: string): void {
  const list = [...items];
  const broken = list.flatMap((item, index) => (rule(item, index) ? [] : [`[${index}] ${shown(item)}`]));
  if (broken.length === 0) return;
  fail(`${label}: not so for ${broken.length} of ${list.length}`, broken, assertEvery);
}

/** Passes if the rule holds for at least one item; else shows all. `label` says what must be there. */
export function assertSome<T>(items: Iterable<T>, rule: (item: T, index: number) => boolean, label: string): void {
  const list = [...items];
  if (list.some(rule)) return;
  const all = list.map((item, index) => `[${index}] ${shown(item)}`);
  fail(`${label}: not so for any of ${list.length}`, all, assertSome);
}

const maxShown = 20;
const maxCharacters = 300;

function shown(item: unknown): string {
  const text = inspect(item, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text;
}

function fail(sentence: string, lines: readonly string[], stackStartFn: (...args: never[]) => void): never {
  const more = lines.length > maxShown ? [`and ${lines.length - maxShown} more`] : [];
  const message = [sentence, ...lines.slice(0, maxShown), ...more].join('\n  ');
  throw new assert.AssertionError({ message, stackStartFn });
}
