// Prometheus metrics, by Prometheus's own client (docs/decisions/0004-metrics-by-prometheus-own-client.md). `main` creates one registry;
// every room registers its own series in it, and the probe server prints it. The library's global registry stays unused, so that tests never
// see each other's numbers.
import { collectDefaultMetrics, Registry } from '@prometheus-io/client';

export { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';

/** The library samples ten times as often by default, which would wake an idle pod for nothing. */
const utilizationSampleMs = 1_000;

/** A registry that already holds the process's own series (`process_*`, `nodejs_*`: memory, CPU, event loop lag, open files, share of time the event loop is busy). */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopUtilizationTimeout: utilizationSampleMs });
  return registry;
}
