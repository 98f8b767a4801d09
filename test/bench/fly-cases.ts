// The cases of `npm run bench:fly`. Neighbours: figures.ts says what a case is, fly-visits.ts fills them.
import { type Case, cpu, speed } from './figures.ts';

export const cases = {
  'download-1': speed(0.9),
  'cpu-download-1': cpu,
  'upload-1': speed(0.9),
  'cpu-upload-1': cpu,
  'download-8': speed(0.9),
  'cpu-download-8': cpu,
  'upload-8': speed(0.9),
  'cpu-upload-8': cpu,
  'round-trip': { unit: 'ms p50', better: 'less' },
  connections: { unit: 'per s', better: 'more' },
  'rss-connected': { unit: 'MiB', better: 'less', budget: { atMost: 110 } },
  'rss-1000': { unit: 'MiB', better: 'less', budget: { atMost: 160 } },
  'rss-1000-stalled': { unit: 'MiB', better: 'less', budget: { atMost: 200 } },
} as const satisfies Record<string, Case>;

export type FlyCase = keyof typeof cases;
