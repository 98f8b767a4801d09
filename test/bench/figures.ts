// What every case of a benchmark has: its unit, which direction is better, and its budget (docs/benchmarks.md).
// Neighbours: ssh-cases.ts and ssm-cases.ts name the cases, report.ts prints them.

export type Budget =
  /** Ours ÷ theirs, the median of the rounds. */
  | { readonly ratioAtLeast: number }
  | { readonly ratioAtMost: number }
  /** Ours − theirs, the median of the rounds, in the case's unit. */
  | { readonly differenceAtMost: number }
  /** The median of ours, in the case's unit. */
  | { readonly atMost: number };

export interface Case {
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly budget?: Budget;
  /** The peer of this case. Default: the benchmark's usual peer. */
  readonly peer?: string;
}

/** Every case of one benchmark by its name, in the order of its table. */
export type Cases<N extends string> = Readonly<Record<N, Case>>;

/** What one visit to one peer yields. */
export type Figures<N extends string> = Partial<Record<N, number>>;

export type Who = 'ours' | 'theirs';

export function namesOf<N extends string>(cases: Cases<N>): readonly N[] {
  return Object.keys(cases) as N[];
}

export const speed = (ratioAtLeast: number): Case => ({ unit: 'MB/s', better: 'more', budget: { ratioAtLeast } });
export const cpu: Case = { unit: 'CPU s/GiB', better: 'less' };
