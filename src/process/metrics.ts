// Prometheus metrics, by Prometheus's own client (docs/decisions/0004-metrics-by-prometheus-own-client.md). `main` creates one registry;
// every room registers its own series in it, and the probe server prints it. The library's global registry stays unused, so that tests never
// see each other's numbers.
import { collectDefaultMetrics, type Metric, Registry } from '@prometheus-io/client';
import { countingWaits } from './loop-utilization.ts';

export { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';

/** The library samples ten times as often by default, which would wake an idle pod for nothing. */
const utilizationSampleMs = 1_000;

/**
 * A registry that already holds the process's own series (`process_*`, `nodejs_*`: memory, CPU, event loop lag, open files, share of time the event loop is busy).
 * `waitedMs`: how long something else than Node's event loop has waited on this thread with nothing to do, in all, which Node takes for work.
 */
export function createRegistry({ waitedMs }: { readonly waitedMs?: (() => number) | undefined } = {}): Registry {
  const registry = new Registry();
  countingWaits(waitedMs, () => {
    collectDefaultMetrics({ register: registry, eventLoopUtilizationTimeout: utilizationSampleMs });
  });
  return registry;
}

export interface ReadHistogram {
  readonly name: string;
  readonly help: string;
  /** Upper bounds in ascending order, without +Inf. */
  readonly buckets: readonly number[];
  /** Read when Prometheus asks: how many values fell into each bucket alone, those beyond the last one too, and the sum of all values. */
  readonly read: () => { readonly counts: readonly number[]; readonly sum: number };
}

/** A histogram whose values were counted elsewhere. The library's own can only be given one value after the other. */
export function addReadHistogram(registry: Registry, { name, help, buckets, read }: ReadHistogram): void {
  const get = async () => {
    const { counts, sum } = read();
    let below = 0;
    const values = [...buckets, '+Inf'].map((le, index) => {
      below += counts[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le }, value: below };
    });
    values.push(
      { metricName: `${name}_sum`, labels: {} as { le: string }, value: sum },
      { metricName: `${name}_count`, labels: {} as { le: string }, value: below },
    );
    return await Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values });
  };
  registry.registerMetric({ name, help, type: 'histogram', aggregator: 'sum', get } as unknown as Metric);
}
