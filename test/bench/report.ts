// Figures of all rounds → rows, the table for people and the array for programs, in the form that every benchmark here has.
// Neighbours: bench.ts collects, figures.ts has the budgets.
import { type Budget, type Case, type CaseName, caseNames, cases, type Figures } from './figures.ts';

export interface Row {
  readonly case: CaseName;
  readonly peer: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** One figure for each round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** Ours ÷ theirs, round by round. */
  readonly ratio: { readonly min: number; readonly median: number; readonly max: number };
}

/** A ratio over fewer interleaved rounds does not count as met. */
const roundsThatCount = 9;

export class Results {
  readonly #ours = new Map<CaseName, number[]>();
  readonly #theirs = new Map<CaseName, number[]>();

  add(who: 'ours' | 'theirs', figures: Figures): void {
    const all = who === 'ours' ? this.#ours : this.#theirs;
    for (const name of caseNames) {
      const figure = figures[name];
      if (figure !== undefined) all.set(name, [...(all.get(name) ?? []), figure]);
    }
  }

  rows(wanted: (name: CaseName) => boolean, peer: string): Row[] {
    return caseNames.flatMap((name) => {
      const ours = this.#ours.get(name) ?? [];
      const theirs = this.#theirs.get(name) ?? [];
      if (!wanted(name) || ours.length === 0) return [];
      const { unit, better } = cases[name];
      const ratios = ours.map((one, index) => one / (theirs[index] ?? Number.NaN));
      const ratio = { min: Math.min(...ratios), median: median(ratios), max: Math.max(...ratios) };
      return [{ case: name, peer, unit, better, ours, theirs, ratio }];
    });
  }
}

export function table(rows: readonly Row[]): string {
  const head = ['case', 'unit', 'ours min/median/max', 'theirs min/median/max', 'ratio min/median/max', 'budget', ''];
  const lines = rows.map((row) => [
    row.case,
    row.unit,
    spread(row.ours),
    spread(row.theirs),
    row.ratio === null
      ? '-'
      : [row.ratio.min, row.ratio.median, row.ratio.max].map((one) => one.toFixed(2)).join(' / '),
    ...verdict(row),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line[column] ?? '').length)),
  );
  const print = (line: readonly string[]): string =>
    line
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [head, ...lines].map(print).join('\n');
}

function verdict(row: Row): [string, string] {
  const { budget, unit }: Case = cases[row.case];
  if (budget === undefined) return ['', ''];
  const [text, met] = judge(row, budget, unit);
  const rounds = row.ours.length;
  const few = rounds < roundsThatCount ? ` (${rounds} of ${roundsThatCount} rounds)` : '';
  return [text, `${met ? 'met' : 'NOT MET'}${few}`];
}

function judge({ ours, theirs, ratio }: Row, budget: Budget, unit: string): [string, boolean] {
  if ('ratioAtLeast' in budget) return [`≥ ${budget.ratioAtLeast} ×`, ratio.median >= budget.ratioAtLeast];
  if ('ratioAtMost' in budget) return [`≤ ${budget.ratioAtMost} ×`, ratio.median <= budget.ratioAtMost];
  if ('atMost' in budget) return [`≤ ${budget.atMost} ${unit}`, median(ours) <= budget.atMost];
  const differences = ours.map((one, index) => one - (theirs[index] ?? Number.NaN));
  return [`≤ theirs + ${budget.differenceAtMost} ms`, median(differences) <= budget.differenceAtMost];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function spread(values: readonly number[]): string {
  return [Math.min(...values), median(values), Math.max(...values)].map(figure).join(' / ');
}

/** Three digits that mean something. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
