// A translation for people: the document on standard output, so that it can be piped; the Secret and what was not taken over beside it.
// Neighbours: from.ts, outcome.ts.
import { stringify } from 'yaml';
import type { NeededSecret, OptionOutcome, OptionVerdict, Translation } from './outcome.ts';

export const documentText = ({ document }: Translation): string => stringify(document, { lineWidth: 0 });

/** The `kubectl create secret` line of each Secret. `flags` chooses the cluster. */
export function secretLines(secrets: readonly NeededSecret[], namespace: string | undefined, flags = ''): string[] {
  return secrets.map(({ name, files, literals }) => {
    const sources = [
      ...[...files].map(([key, path]) => `--from-file=${key}=${quoted(path)}`),
      ...[...literals].map(([key, word]) => `--from-literal=${key}=${word}`),
    ];
    return `kubectl${flags}${namespace === undefined ? '' : ` -n ${namespace}`} create secret generic ${name} ${sources.join(' ')}`;
  });
}

const headings: Readonly<Record<OptionVerdict, string>> = {
  notPossible: 'Not possible in a tunnel:',
  notNeeded: 'Not needed:',
  kept: 'Kept:',
};

/** Each option by name, what was lost first. */
export function outcomeLines(outcomes: readonly OptionOutcome[]): string[] {
  return (Object.keys(headings) as OptionVerdict[]).flatMap((verdict) => {
    const of = outcomes.filter((each) => each.verdict === verdict);
    if (of.length === 0) return [];
    return [
      '',
      headings[verdict],
      ...of.map(({ option, origin, why }) => `  ${option}${origin === undefined ? '' : ` (${origin})`}: ${why}`),
    ];
  });
}

/** A word of the shell. */
const quoted = (word: string): string => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
