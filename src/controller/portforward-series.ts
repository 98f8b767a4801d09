// One series per PortForward, for installs that ask for it. Their number has a bound that the administrator chose: a label with the name of
// an object would otherwise let anyone who may create PortForwards fill Prometheus' memory.
// Neighbours: metrics.ts (series without names), tunnel-reconciler.ts (makes it), docs/metrics.md.
import { Gauge, type Registry } from '../process/metrics.ts';
import type { StoredPortForward } from './base/portforward.ts';

export interface PortForwardSeriesOptions {
  /** The most PortForwards that have series; the others are counted. 0: there are no such series. */
  readonly limit: number;
  /** The PortForwards of this install. */
  readonly portForwards: () => Iterable<StoredPortForward>;
}

const labelNames = ['portforward_namespace', 'portforward_name'] as const;

/** Beyond the limit those that come first by namespace and name have series, so that it is the same ones in each scrape and replica. */
export function portForwardSeries(registry: Registry, { limit, portForwards }: PortForwardSeriesOptions): void {
  if (limit === 0) return;
  const registers = [registry];
  const shown = (): readonly StoredPortForward[] => chosen([...portForwards()], limit);
  new Gauge({
    name: 'portforward_ready',
    help: '1 while the PortForward is Ready, 0 while it is not, with the reason of its condition',
    labelNames: [...labelNames, 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { metadata, status } of shown()) {
        const condition = status?.conditions?.find(({ type }) => type === 'Ready');
        const { status: ready = 'Unknown', reason = 'Pending' } = condition ?? {};
        this.set({ ...namesOf(metadata), reason }, Number(ready === 'True'));
      }
    },
  });
  new Gauge({
    name: 'portforward_ready_replicas',
    help: 'Tunnel pods of the PortForward that are ready',
    labelNames: [...labelNames],
    registers,
    collect() {
      this.reset();
      for (const { metadata, status } of shown()) this.set(namesOf(metadata), status?.readyReplicas ?? 0);
    },
  });
  new Gauge({
    name: 'portforward_series_left_out',
    help: 'PortForwards without series of their own, because there are more than the limit',
    registers,
    collect() {
      this.set(Math.max(0, [...portForwards()].length - limit));
    },
  });
}

const namesOf = ({ namespace = '', name }: StoredPortForward['metadata']) => ({
  portforward_namespace: namespace,
  portforward_name: name,
});

function chosen(all: readonly StoredPortForward[], limit: number): readonly StoredPortForward[] {
  if (all.length <= limit) return all;
  const placeOf = ({ metadata: { namespace, name } }: StoredPortForward): string => `${namespace}/${name}`;
  return all.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1)).slice(0, limit);
}
