// Prometheus metrics, by prom-client. `main` creates one registry; every part registers its own series in it, and the
// probe server prints it. No part uses prom-client's global registry, so tests never see each other's numbers.
import { collectDefaultMetrics, Registry } from 'prom-client';

export { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** A registry that already holds the process's own series (`process_*`, `nodejs_*`: memory, CPU, event loop lag, open files). */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
