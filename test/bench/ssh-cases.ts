// The cases of `npm run bench`. Neighbours: figures.ts says what a case is, measure.ts fills them.
import { type Case, type Figures, speed } from './figures.ts';

const cpuAtMost = (ratioAtMost: number): Case => ({ unit: 'CPU s/GiB', better: 'less', budget: { ratioAtMost } });
/** `ssh -L` as a user runs it: with the cipher that the two agree on by themselves. */
const usual: Case = { unit: 'MB/s', better: 'more', peer: 'ssh -L, its own cipher' };

export const cases = {
  'download-1': speed(0.95),
  'upload-1': speed(0.95),
  'download-8': speed(0.95),
  'upload-8': speed(0.95),
  'cpu-download-1': cpuAtMost(0.6),
  'cpu-upload-1': cpuAtMost(0.6),
  'cpu-download-8': cpuAtMost(0.6),
  'cpu-upload-8': cpuAtMost(0.6),
  'round-trip': { unit: 'ms p50', better: 'less', budget: { ratioAtMost: 1 } },
  connections: { unit: 'per s', better: 'more', budget: { ratioAtLeast: 1.1 } },
  'cpu-connections': { unit: 'CPU µs', better: 'less', budget: { ratioAtMost: 0.75 } },
  links: { unit: 'ssh connections', better: 'less' },
  'usual-download-1': usual,
  'usual-upload-1': usual,
  'usual-download-8': usual,
  'usual-upload-8': usual,
  'typescript-download-1': speed(0.7),
  'typescript-upload-1': speed(0.7),
  'typescript-download-8': speed(0.7),
  'typescript-upload-8': speed(0.7),
  'typescript-cpu-download-1': cpuAtMost(1.8),
  'typescript-cpu-upload-1': cpuAtMost(1.8),
  'typescript-cpu-download-8': cpuAtMost(1.8),
  'typescript-cpu-upload-8': cpuAtMost(1.8),
  'typescript-connections': { unit: 'per s', better: 'more' },
  'typescript-cpu-connections': { unit: 'CPU µs', better: 'less' },
  'round-trip-1ms': { unit: 'ms p50', better: 'less', budget: { ratioAtMost: 1.05 } },
  'download-1-20ms': speed(2),
  'download-1-50ms': speed(2.8),
  start: { unit: 'ms', better: 'less', budget: { atMost: 1_500 } },
  'rss-connected': { unit: 'MiB', better: 'less', budget: { atMost: 80 } },
  'rss-1000': { unit: 'MiB', better: 'less', budget: { atMost: 110 } },
  'rss-1000-stalled': { unit: 'MiB', better: 'less', budget: { atMost: 128 } },
  'round-trip-stalled': { unit: 'ms p50', better: 'less', budget: { atMost: 5 } },
  'pss-connected': { unit: 'MiB', better: 'less' },
  'pss-1000': { unit: 'MiB', better: 'less' },
  'typescript-rss-connected': { unit: 'MiB', better: 'less', budget: { atMost: 90 } },
  'typescript-rss-1000': { unit: 'MiB', better: 'less', budget: { atMost: 110 } },
  'typescript-rss-1000-stalled': { unit: 'MiB', better: 'less', budget: { atMost: 190 } },
  'typescript-round-trip-stalled': { unit: 'ms p50', better: 'less', budget: { atMost: 100 } },
} as const satisfies Record<string, Case>;

export type SshCase = keyof typeof cases;

/** The rows in which the same figures are compared with another peer (`usual-`), or are those of another path of ours (`typescript-`). */
type Kind = 'usual' | 'typescript';

const isCase = (name: string): name is SshCase => name in cases;

/** The case of that kind beside this one, if there is one. */
export function beside(kind: Kind, name: SshCase): SshCase | undefined {
  const other = `${kind}-${name}`;
  return isCase(other) ? other : undefined;
}

/** The figures for the rows of that kind. */
export function figuresOf(kind: Kind, figures: Figures<SshCase>): Figures<SshCase> {
  const found: Figures<SshCase> = {};
  for (const [name, figure] of Object.entries(figures)) {
    const other = isCase(name) ? beside(kind, name) : undefined;
    if (other !== undefined) found[other] = figure;
  }
  return found;
}
