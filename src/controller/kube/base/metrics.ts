// The runtime's Prometheus series, with the names, labels and buckets of controller-runtime 0.24, so that dashboards and
// alerts made for it work unchanged. Labels never hold object names. Each part registers what it counts through here.
import { Counter, Gauge, Histogram, type Registry } from '../../../process/metrics.ts';

/** Every series of the runtime, registered once per process. */
export interface KubeMetrics {
  readonly reconcileTotal: Counter<'controller' | 'result'>;
  readonly reconcileErrors: Counter<'controller'>;
  readonly terminalReconcileErrors: Counter<'controller'>;
  readonly reconcilePanics: Counter<'controller'>;
  readonly reconcileTimeouts: Counter<'controller'>;
  readonly reconcileTime: Histogram<'controller'>;
  readonly maxConcurrentReconciles: Gauge<'controller'>;
  readonly activeWorkers: Gauge<'controller'>;
  readonly queueDepth: Gauge<'name' | 'controller' | 'priority'>;
  readonly queueAdds: Counter<'name' | 'controller'>;
  readonly queueDuration: Histogram<'name' | 'controller'>;
  readonly workDuration: Histogram<'name' | 'controller'>;
  readonly unfinishedWork: Gauge<'name' | 'controller'>;
  readonly longestRunning: Gauge<'name' | 'controller'>;
  readonly queueRetries: Counter<'name' | 'controller'>;
  readonly requestsTotal: Counter<'code' | 'method' | 'host'>;
  readonly requestDuration: Histogram<'verb' | 'host'>;
  readonly rateLimiterDuration: Histogram<'verb' | 'host'>;
  readonly warningsTotal: Counter<'host'>;
  readonly leaderStatus: Gauge<'name'>;
  readonly leaderSlowpath: Counter<'name'>;
  readonly reflectorLastActivity: Gauge<'kind'>;
  readonly reflectorLists: Counter<'kind'>;
  readonly reflectorWatches: Counter<'kind'>;
  readonly eventsDropped: Counter<'cause'>;
  /** Functions that bring gauges up to date, called before the queue's ages are printed. An owner that ends takes its own out. */
  readonly beforeScrape: Set<() => void>;
}

/** Buckets of `controller_runtime_reconcile_time_seconds`. */
const reconcileBuckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

/** Buckets of the work queue's histograms: 10 ns to 1000 s by tens. */
const queueBuckets = Array.from({ length: 12 }, (_, power) => 1e-8 * 10 ** power);

const requestBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/** Registers every series in `registry`. Call it once per registry and hand the result to every part. */
export function kubeMetrics(registry: Registry): KubeMetrics {
  const make = makers(registry);
  const beforeScrape = new Set<() => void>();
  return {
    ...reconcileSeries(make),
    ...queueSeries(make, beforeScrape),
    ...requestSeries(make),
    ...otherSeries(make),
    beforeScrape,
  };
}

const makers = (registry: Registry) => ({
  counter: <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter<L>({ name, help, labelNames: [...labelNames], registers: [registry] }),
  /** `collect` runs before the gauge is printed. */
  gauge: <L extends string>(name: string, help: string, labelNames: readonly L[], collect?: () => void): Gauge<L> =>
    new Gauge<L>({ name, help, labelNames: [...labelNames], registers: [registry], ...(collect && { collect }) }),
  histogram: <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: number[],
  ): Histogram<L> => new Histogram<L>({ name, help, labelNames: [...labelNames], buckets, registers: [registry] }),
});

type Makers = ReturnType<typeof makers>;

const reconcileSeries = ({ counter, gauge, histogram }: Makers) => ({
  reconcileTotal: counter('controller_runtime_reconcile_total', 'Reconciles by result', ['controller', 'result']),
  reconcileErrors: counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed', ['controller']),
  terminalReconcileErrors: counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Reconciles that failed and are not tried again',
    ['controller'],
  ),
  reconcilePanics: counter('controller_runtime_reconcile_panics_total', 'Reconciles that failed by a bug', [
    'controller',
  ]),
  reconcileTimeouts: counter('controller_runtime_reconcile_timeouts_total', 'Reconciles that met their deadline', [
    'controller',
  ]),
  reconcileTime: histogram(
    'controller_runtime_reconcile_time_seconds',
    'Time per reconcile',
    ['controller'],
    reconcileBuckets,
  ),
  maxConcurrentReconciles: gauge('controller_runtime_max_concurrent_reconciles', 'Workers', ['controller']),
  activeWorkers: gauge('controller_runtime_active_workers', 'Workers that reconcile at the moment', ['controller']),
});

const queueLabels = ['name', 'controller'] as const;

const queueSeries = ({ counter, gauge, histogram }: Makers, beforeScrape: ReadonlySet<() => void>) => ({
  queueDepth: gauge('workqueue_depth', 'Keys that wait for a worker', ['name', 'controller', 'priority']),
  queueAdds: counter('workqueue_adds_total', 'Keys added', queueLabels),
  queueDuration: histogram(
    'workqueue_queue_duration_seconds',
    'Time a key waits for a worker',
    queueLabels,
    queueBuckets,
  ),
  workDuration: histogram('workqueue_work_duration_seconds', 'Time a worker holds a key', queueLabels, queueBuckets),
  unfinishedWork: gauge('workqueue_unfinished_work_seconds', 'Sum of the ages of running work', queueLabels, () => {
    for (const refresh of beforeScrape) refresh();
  }),
  longestRunning: gauge('workqueue_longest_running_processor_seconds', 'Age of the oldest running work', queueLabels),
  queueRetries: counter('workqueue_retries_total', 'Keys added again after a failure', queueLabels),
});

const requestSeries = ({ counter, histogram }: Makers) => ({
  requestsTotal: counter('rest_client_requests_total', 'Requests to the API server', ['code', 'method', 'host']),
  requestDuration: histogram(
    'rest_client_request_duration_seconds',
    'Time until the response began',
    ['verb', 'host'],
    requestBuckets,
  ),
  rateLimiterDuration: histogram(
    'rest_client_rate_limiter_duration_seconds',
    'Time a write waited for its turn',
    ['verb', 'host'],
    requestBuckets,
  ),
  warningsTotal: counter('rest_client_warnings_total', 'Warning headers of the API server', ['host']),
});

const otherSeries = ({ counter, gauge }: Makers) => ({
  leaderStatus: gauge('leader_election_master_status', '1 while this process leads', ['name']),
  leaderSlowpath: counter('leader_election_slowpath_total', 'Renewals that had to read the lease first', ['name']),
  reflectorLastActivity: gauge('reflector_last_activity_seconds', 'Unix time of the last sign of life of a watch', [
    'kind',
  ]),
  reflectorLists: counter('reflector_lists_total', 'Full reads of a kind', ['kind']),
  reflectorWatches: counter('reflector_watches_total', 'Watches opened', ['kind']),
  eventsDropped: counter('event_recorder_dropped_total', 'Events that were not written', ['cause']),
});
