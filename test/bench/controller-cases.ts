// The cases of `npm run bench:controller`. Neighbours: figures.ts says what a case is, controller.ts fills them.
import type { Case } from './figures.ts';

const seconds = (atMost?: number): Case => ({
  unit: 's',
  better: 'less',
  ...(atMost !== undefined && { budget: { atMost } }),
});

/** Deployment, Service, ServiceAccount, NetworkPolicy and PodDisruptionBudget, and two more. */
const writesPerPortForward = 5 + 2;

export const cases = {
  'ready-seconds': seconds(),
  'writes-per-portforward': { unit: 'writes', better: 'less', budget: { atMost: writesPerPortForward } },
  'events-per-portforward': { unit: 'Events', better: 'less' },
  'steady-requests': { unit: 'per min', better: 'less' },
  'steady-writes': { unit: 'per min', better: 'less', budget: { atMost: 0 } },
  'steady-connections': { unit: 'connections', better: 'less' },
  'steady-cpu': { unit: '% of a core', better: 'less' },
  'rss-mib': { unit: 'MiB', better: 'less', budget: { atMost: 384 } },
  'rss-peak-mib': { unit: 'MiB', better: 'less' },
  'change-p50-ms': { unit: 'ms', better: 'less' },
  'change-p99-ms': { unit: 'ms', better: 'less', budget: { atMost: 1_000 } },
  'storm-change-p50-ms': { unit: 'ms', better: 'less' },
  'storm-change-p99-ms': { unit: 'ms', better: 'less' },
  'restart-writes': { unit: 'writes', better: 'less', budget: { atMost: 0 } },
  'restart-drain-seconds': seconds(60),
  'restart-rss-mib': { unit: 'MiB', better: 'less', budget: { atMost: 384 } },
  'restart-rss-peak-mib': { unit: 'MiB', better: 'less' },
  'upgrade-rollouts': { unit: 'per min', better: 'more' },
  'failover-seconds': seconds(25),
  'handover-seconds': seconds(5),
} as const satisfies Record<string, Case>;

export type ControllerCase = keyof typeof cases;
