// Figures of all rounds → rows, the table for people and the array for programs, in the form that every benchmark here has.
// Neighbours: visit.ts collects, run.ts prints, figures.ts says what a budget is.
import { type Budget, type Case, type Cases, type Figures, namesOf, type Who } from './figures.ts';

export interface Row<N extends string> {
  readonly case: N;
  /** Null if there is no peer. */
  readonly peer: string | null;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** One figure for each round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** Ours ÷ theirs, round by round; null without a peer. */
  readonly ratio: { readonly min: number; readonly median: number; readonly max: number } | null;
}

/** A comparison over fewer interleaved rounds does not count as met. */
const roundsThatCount = 9;

export class Results<N extends string> {
  readonly #cases: Cases<N>;
  readonly #ours = new Map<N, number[]>();
  readonly #theirs = new Map<N, number[]>();

  readonly #onFigure: () => void;

  /** `onFigure` is called after each `add`. */
  constructor(cases: Cases<N>, onFigure: () => void = () => undefined) {
    this.#cases = cases;
    this.#onFigure = onFigure;
  }

  add(who: Who, figures: Figures<N>): void {
    const all = who === 'ours' ? this.#ours : this.#theirs;
    for (const name of namesOf(this.#cases)) {
      const figure = figures[name];
      if (figure !== undefined) all.set(name, [...(all.get(name) ?? []), figure]);
    }
    this.#onFigure();
  }

  /** In the order of the cases; those that were not measured are left out. */
  rows(wanted: (name: N) => boolean, usualPeer: string): Row<N>[] {
    return namesOf(this.#cases).flatMap((name): Row<N>[] => {
      const ours = this.#ours.get(name) ?? [];
      const theirs = this.#theirs.get(name) ?? [];
      if (!wanted(name) || ours.length === 0) return [];
      const { unit, better, peer = usualPeer } = this.#cases[name];
      if (theirs.length === 0) return [{ case: name, peer: null, unit, better, ours, theirs, ratio: null }];
      const ratios = ours.map((one, index) => one / (theirs[index] ?? Number.NaN));
      const ratio = { min: Math.min(...ratios), median: median(ratios), max: Math.max(...ratios) };
      return [{ case: name, peer, unit, better, ours, theirs, ratio }];
    });
  }
}

export function table<N extends string>(rows: readonly Row<N>[], cases: Cases<N>): string {
  const head = ['case', 'unit', 'ours min/median/max', 'theirs min/median/max', 'ratio min/median/max', 'budget', ''];
  const lines = rows.map((row) => [
    row.case,
    row.unit,
    spread(row.ours),
    row.peer === null ? '-' : spread(row.theirs),
    row.ratio === null
      ? '-'
      : [row.ratio.min, row.ratio.median, row.ratio.max].map((one) => one.toFixed(2)).join(' / '),
    ...verdict(row, cases[row.case]),
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

function verdict(row: Row<string>, { budget, unit }: Case): [string, string] {
  if (budget === undefined) return ['', ''];
  const [text, met] = judge(row, budget, unit);
  const rounds = row.ours.length;
  const few = rounds < roundsThatCount && !('atMost' in budget) ? ` (${rounds} of ${roundsThatCount} rounds)` : '';
  return [text, `${met ? 'met' : 'NOT MET'}${few}`];
}

function judge({ ours, theirs, ratio }: Row<string>, budget: Budget, unit: string): [string, boolean] {
  // Without a peer there is no ratio, and so no budget that is met.
  const middle = ratio?.median ?? Number.NaN;
  if ('ratioAtLeast' in budget) return [`≥ ${budget.ratioAtLeast} ×`, middle >= budget.ratioAtLeast];
  if ('ratioAtMost' in budget) return [`≤ ${budget.ratioAtMost} ×`, middle <= budget.ratioAtMost];
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

/** Three significant digits. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
