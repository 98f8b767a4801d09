// The controller's own series, beside those of the runtime (kube/base/metrics.ts). No label ever holds an object's name: ten thousand tunnels
// would be ten thousand series.
// Neighbours: docs/metrics.md.
import type { PortForwardStatus } from '../contract/api/status.ts';
import { Counter, Gauge, type Registry } from '../process/metrics.ts';

export interface ControllerMetrics {
  readonly statuszReads: Counter<'result'>;
  readonly statusWrites: Counter;
  readonly repairs: Counter;
}

/** Of the leader, which asks. */
export function uncagedGauge(registry: Registry): Gauge<'policy'> {
  return new Gauge({
    name: 'portforward_uncaged',
    help: '1 while the API server admits what this admission policy of the chart must refuse to the controller, 0 while it refuses it',
    labelNames: ['policy'],
    registers: [registry],
  });
}

export interface MetricsSources {
  /** The PortForwards of this install. */
  readonly statuses: () => Iterable<PortForwardStatus | undefined>;
  readonly rolloutsWaiting: () => number;
  readonly ofOtherInstalls: () => number;
}

export function controllerMetrics(
  registry: Registry,
  { statuses, rolloutsWaiting, ofOtherInstalls }: MetricsSources,
): ControllerMetrics {
  const registers = [registry];
  new Gauge({
    name: 'portforward_resources',
    help: 'PortForwards by driver and by the condition Ready (True, False, Unknown) with its reason',
    labelNames: ['driver', 'ready', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const status of statuses()) {
        const condition = status?.conditions?.find(({ type }) => type === 'Ready');
        const { status: ready = 'Unknown', reason = 'Pending' } = condition ?? {};
        this.inc({ driver: status?.driver ?? 'unknown', ready, reason });
      }
    },
  });
  new Gauge({
    name: 'portforward_tunnels',
    help: 'Tunnel pods by driver and state',
    labelNames: ['driver', 'state'],
    registers,
    collect() {
      this.reset();
      for (const status of statuses()) {
        for (const { state } of status?.tunnels ?? []) this.inc({ driver: status?.driver ?? 'unknown', state });
      }
    },
  });
  new Gauge({
    name: 'portforward_rollouts_waiting',
    help: 'Deployments that wait for their turn after a change of the operator',
    registers,
    collect() {
      this.set(rolloutsWaiting());
    },
  });
  new Gauge({
    name: 'portforward_of_other_installs',
    help: 'PortForwards of this class that another install keeps: this one leaves them alone',
    registers,
    collect() {
      this.set(ofOtherInstalls());
    },
  });
  return counters(registry);
}

function counters(registry: Registry): ControllerMetrics {
  const registers = [registry];
  const metrics: ControllerMetrics = {
    statuszReads: new Counter({
      name: 'portforward_statusz_reads_total',
      help: 'Reads of tunnel pods’ /statusz by result (success, error)',
      labelNames: ['result'],
      registers,
    }),
    statusWrites: new Counter({ name: 'portforward_status_writes_total', help: 'Writes of a status', registers }),
    repairs: new Counter({
      name: 'portforward_repairs_total',
      help: 'Objects of tunnels that somebody else changed or deleted and that the operator restored',
      registers,
    }),
  };
  for (const result of ['success', 'error']) metrics.statuszReads.inc({ result }, 0);
  return metrics;
}
