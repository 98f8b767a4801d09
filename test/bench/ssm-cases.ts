// The cases of `npm run bench:ssm`. Neighbours: figures.ts says what a case is, ssm-visits.ts fills them.
import { type Case, cpu, speed } from './figures.ts';

/** That many connections on as many sessions, against one on one session of the same tunnel. */
const sessions = (count: number): Case => ({ ...speed(0.9 * count), peer: 'one session of ours' });

export const cases = {
  upload: speed(10),
  'cpu-upload': cpu,
  download: { unit: 'MB/s', better: 'more' },
  'cpu-download': cpu,
  'round-trip': { unit: 'ms p50', better: 'less' },
  connections: { unit: 'per s', better: 'more' },
  links: { unit: 'sessions', better: 'less' },
  'upload-80ms': speed(10),
  'round-trip-80ms': { unit: 'ms p50', better: 'less' },
  'download-2': sessions(2),
  'download-4': sessions(4),
  'download-8': sessions(8),
  'cpu-download-8': { ...cpu, peer: 'one session of ours' },
  'rss-connected': { unit: 'MiB', better: 'less', budget: { atMost: 110 } },
  'rss-1000': { unit: 'MiB', better: 'less', budget: { atMost: 160 } },
} as const satisfies Record<string, Case>;

export type SsmCase = keyof typeof cases;
