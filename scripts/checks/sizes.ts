// How long the files are: half of them must be read in one look.
// Neighbour: ../../oxlint.config.ts limits the longest file and the longest function.
import type { Source } from './finding.ts';

/** The median of the files' numbers of lines. */
export function medianLines(sources: readonly Source[]): number {
  const lengths = sources.map(({ text }) => text.split('\n').length - 1).toSorted((a, b) => a - b);
  return lengths[Math.floor(lengths.length / 2)] ?? 0;
}
