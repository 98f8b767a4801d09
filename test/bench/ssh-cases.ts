// The cases of `npm run bench`. Neighbours: figures.ts says what a case is, measure.ts fills them.
import { type Case, cpu, speed } from './figures.ts';

export const cases = {
  'download-1': speed(1),
  'upload-1': speed(1),
  'download-8': speed(1),
  'upload-8': speed(1),
  'cpu-download-1': cpu,
  'cpu-upload-1': cpu,
  'cpu-download-8': cpu,
  'cpu-upload-8': cpu,
  'round-trip': { unit: 'ms p50', better: 'less', budget: { differenceAtMost: 0.15 } },
  connections: { unit: 'per s', better: 'more', budget: { ratioAtLeast: 1 } },
  'cpu-connections': { unit: 'CPU µs', better: 'less' },
  links: { unit: 'ssh connections', better: 'less' },
  'round-trip-1ms': { unit: 'ms p50', better: 'less', budget: { ratioAtMost: 1.05 } },
  'download-1-20ms': speed(1.5),
  'download-1-50ms': speed(2.5),
  start: { unit: 'ms', better: 'less', budget: { atMost: 1_500 } },
  'rss-connected': { unit: 'MiB', better: 'less', budget: { atMost: 80 } },
  'rss-1000': { unit: 'MiB', better: 'less', budget: { atMost: 160 } },
  'pss-connected': { unit: 'MiB', better: 'less' },
  'pss-1000': { unit: 'MiB', better: 'less' },
} as const satisfies Record<string, Case>;

export type SshCase = keyof typeof cases;
