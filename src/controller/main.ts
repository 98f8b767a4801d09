// The controller's process: probes, watches and election around the work, ended in the reverse order.
// Neighbours: cli/controller.ts starts it, cluster-access.ts (the API server), tunnel-reconciler.ts (the work).
import type { KubeConfig } from '@kubernetes/client-node';
import { tracingDirectory } from '../contract/tracing.ts';
import { aborted } from '../process/abort.ts';
import type { Logger } from '../process/log.ts';
import { createRegistry, type Registry } from '../process/metrics.ts';
import type { OtlpExporter } from '../process/otlp.ts';
import { check, metricsPage, type ProbeServer, startProbeServer } from '../process/probe-server.ts';
import type { Settings } from './base/settings.ts';
import { CageCheck, type CageTimings } from './cage-check.ts';
import { type ClusterAccess, clusterAccess } from './cluster-access.ts';
import { kubeMetrics } from './kube/base/metrics.ts';
import type { Pod } from './kube/base/resources.ts';
import type { TransportOptions } from './kube/rest/transport.ts';
import { uncagedGauge } from './metrics.ts';
import type { ReaderTimings } from './status/statusz-reader.ts';
import type { StatusPauses } from './status-writer.ts';
import { type TunnelReconciler, tunnelReconciler } from './tunnel-reconciler.ts';

/** What tests and benchmarks replace. */
export interface TestOverrides {
  readonly kubeConfig?: KubeConfig;
  /** Where a pod's admin port is. */
  readonly originOf?: (pod: Pod) => string;
  readonly readerTimings?: ReaderTimings;
  readonly statusPauses?: StatusPauses;
  /** After this much silence a watch is opened again, in milliseconds. */
  readonly watchIdleMs?: number;
  readonly cageTimings?: CageTimings;
  /** Sees every request to the API server. */
  readonly onRequest?: TransportOptions['onRequest'];
  /** Called when this process leads and its caches are filled. */
  readonly onLeading?: (running: { readonly adminPort: number }) => void;
}

export interface RunControllerOptions {
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal;
  readonly settings: Settings;
  readonly log: Logger;
  readonly overrides?: TestOverrides;
}

/** Liveness fails once our expired lease is this old: a former leader must not keep running. */
const expiredLeaderMs = 20_000;

/** Works until the signal aborts, then ends what it began and resolves. Rejects when leadership is lost. */
export async function runController({ signal, settings, log, overrides = {} }: RunControllerOptions): Promise<void> {
  const { kubeConfig, onRequest, originOf, readerTimings, statusPauses, watchIdleMs, cageTimings, onLeading } =
    overrides;
  const registry = createRegistry();
  const metrics = kubeMetrics(registry);
  const exporter = await exporterOf(settings, log);
  const access = clusterAccess({ settings, metrics, log, kubeConfig, onRequest });
  const tunnels = tunnelReconciler({
    settings,
    access,
    registry,
    kubeMetrics: metrics,
    log,
    originOf,
    readerTimings,
    statusPauses,
    watchIdleMs,
    trace: exporter?.trace,
  });
  const cage = new CageCheck({
    kube: access.unfenced,
    events: access.events,
    settings,
    uncaged: uncagedGauge(registry),
    log,
    timings: cageTimings,
  });
  // Outlives the signal: what is being drained still reads caches, answers probes and records Events.
  const background = new AbortController();
  const probes = await serve({ port: settings.adminPort, access, tunnels, registry, log, signal: background.signal });
  const watching = tunnels.watches.run(background.signal);
  const recording = access.events.run(background.signal);
  try {
    // A listener that throws ends the watches, and that must end the process.
    await Promise.race([tunnels.watches.waitForSync(signal), watching]);
    const lead = async (leading: AbortSignal): Promise<void> => {
      onLeading?.({ adminPort: probes.port });
      await Promise.all([tunnels.lead(leading), cage.run(leading)]);
    };
    // The watches end without an error only because of their signal; then the election decides.
    await Promise.race([access.elector.run(lead, signal), watching.then(() => aborted(background.signal))]);
  } finally {
    background.abort(signal.aborted ? signal.reason : new Error('the controller ended'));
    await Promise.allSettled([watching, recording, probes.closed]);
    await access.close();
    await exporter?.flush();
  }
}

/** Loaded only where something is traced. */
async function exporterOf({ tunnel, podName }: Settings, log: Logger): Promise<OtlpExporter | undefined> {
  const tracing = { endpoint: tunnel.traceEndpoint, headers: tunnel.traceHeaders };
  if (tracing.endpoint === '') return undefined;
  const exporter = await import('../process/otlp.ts');
  const resource = {
    'service.name': 'portforward-controller',
    'k8s.namespace.name': tunnel.operatorNamespace,
    'k8s.pod.name': podName,
  };
  return new exporter.OtlpExporter({ ...tracing, directory: tracingDirectory, resource, log });
}

interface ServeOptions {
  readonly port: number;
  readonly access: ClusterAccess;
  readonly tunnels: TunnelReconciler;
  readonly registry: Registry;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Answers probes and Prometheus until the signal aborts. */
async function serve({ port, access, tunnels, registry, log, signal }: ServeOptions): Promise<ProbeServer> {
  return await startProbeServer({
    port,
    routes: {
      '/livez': check(() =>
        access.elector.expiredForMs > expiredLeaderMs
          ? 'leadership has expired, but this process still runs'
          : undefined,
      ),
      // Not tied to leadership: a standby is as ready as the leader, or a rolling update would never end.
      '/readyz': check(() => (tunnels.watches.synced ? undefined : 'the caches are not filled yet')),
      '/metrics': metricsPage(registry),
    },
    signal,
    log,
  });
}
