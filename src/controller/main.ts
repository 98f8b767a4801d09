// The controller as a process: settings → client → caches → election → workers, and back in the reverse order. Wiring only.
// Neighbours: settings.ts (what may be set), watches.ts (caches and queue), reconcile.ts (the work).
import { randomUUID } from 'node:crypto';
import type { KubeConfig } from '@kubernetes/client-node';
import { group, kind } from '../contract/api/names.ts';
import { hostPort } from '../contract/ip-address.ts';
import { adminPort } from '../contract/pod.ts';
import { aborted } from '../process/abort.ts';
import { createLog, type Logger } from '../process/log.ts';
import { createRegistry } from '../process/metrics.ts';
import { check, metricsPage, startProbeServer } from '../process/probe-server.ts';
import { classNameOf } from './base/portforward.ts';
import type { Settings } from './base/settings.ts';
import { appliedAnnotation, fieldManager } from './children/names.ts';
import { type ChildAccess, EnsureChildren } from './ensure-children.ts';
import { Applier } from './kube/apply/apply.ts';
import { kubeMetrics } from './kube/base/metrics.ts';
import { type KubeObject, type Resource } from './kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  type Pod,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from './kube/base/resources.ts';
import { TokenBucket } from './kube/base/token-bucket.ts';
import type { Store } from './kube/cache/store.ts';
import { EventRecorder } from './kube/events/events.ts';
import { Elector } from './kube/leaderelection/elector.ts';
import { createKubeClient, writeDeadlineMs } from './kube/rest/kube.ts';
import { loadKubeConfig } from './kube/rest/kube-config.ts';
import { createTransport, type TransportOptions } from './kube/rest/transport.ts';
import { Controller } from './kube/workqueue/controller.ts';
import { WorkQueue } from './kube/workqueue/work-queue.ts';
import { controllerMetrics } from './metrics.ts';
import { tunnelOfPod } from './pods.ts';
import { reconciler } from './reconcile.ts';
import { RefusalRetry } from './refusal-retry.ts';
import { resync } from './resync.ts';
import { RolloutLimiter } from './rollout-limiter.ts';
import { type ReaderTimings, StatuszReader } from './status/statusz-reader.ts';
import { type StatusPauses, StatusWriter } from './status-writer.ts';
import { Watches } from './watches.ts';

/** Where something other than the cluster's own is used: by tests and benchmarks only. */
export interface TestOverrides {
  readonly log?: Logger;
  readonly kubeConfig?: KubeConfig;
  /** Where a pod's admin port is. */
  readonly originOf?: (pod: Pod) => string;
  readonly readerTimings?: ReaderTimings;
  readonly statusPauses?: StatusPauses;
  /** Sees every request to the API server. */
  readonly onRequest?: TransportOptions['onRequest'];
  /** Told when this process leads and its caches are filled; with the port that the probes are on. */
  readonly onLeading?: (running: { readonly adminPort: number }) => void;
}

/** Sets the pace of a pod's liveness: a leader whose lease ended this long ago should not be here any more. */
const expiredLeaderMs = 20_000;

/** Works until the signal aborts, then ends what it began and resolves. Rejects when leadership is lost. */
export async function runController(
  signal: AbortSignal,
  settings: Settings,
  overrides: TestOverrides = {},
): Promise<void> {
  const log = overrides.log ?? createLog({ level: settings.logLevel });
  const registry = createRegistry();
  const metrics = kubeMetrics(registry);
  const config = overrides.kubeConfig ?? loadKubeConfig(settings.kubeconfig);
  const { onRequest } = overrides;
  const transport = createTransport({
    config,
    userAgent: 'portforward-controller',
    metrics,
    log,
    ...(onRequest === undefined ? {} : { onRequest }),
  });
  const identity = `${settings.podName}_${randomUUID()}`;
  const elector = new Elector({
    kube: createKubeClient(transport, { connectionClass: 'lease' }),
    lease: { namespace: settings.tunnel.operatorNamespace, name: settings.leaseName },
    identity,
    metrics,
    log,
  });
  const bucket = new TokenBucket({ perSecond: settings.writesPerSecond, burst: 2 * settings.writesPerSecond });
  const kube = createKubeClient(transport, { fence: elector.fence(writeDeadlineMs), bucket });
  const events = new EventRecorder({
    kube: createKubeClient(transport),
    reportingController: `${group}/controller`,
    reportingInstance: identity,
    metrics,
    log,
  });

  const queue = new WorkQueue({ name: 'portforward', metrics });
  const limiter = new RolloutLimiter({ perMinute: settings.rolloutsPerMinute });
  const own = controllerMetrics(registry, {
    statuses: function* () {
      for (const stored of watches.portForwards.values()) {
        if (classNameOf(stored) === settings.className) yield stored.status;
      }
    },
    rolloutsWaiting: () => limiter.waiting,
  });
  const reader = new StatuszReader({
    originOf: overrides.originOf ?? ((pod) => `http://${hostPort(pod.status?.podIP ?? '', adminPort)}`),
    isOurs: (pod) => {
      const stored = watches.portForwards.get(tunnelOfPod(pod) ?? '');
      return stored !== undefined && classNameOf(stored) === settings.className;
    },
    onChange: (pod) => {
      const key = tunnelOfPod(pod);
      if (key !== undefined) queue.add(key);
    },
    reads: own.statuszReads,
    ...(overrides.readerTimings === undefined ? {} : { timings: overrides.readerTimings }),
  });
  const watches: Watches = new Watches({ kube, namespaces: settings.watchNamespaces, queue, reader, metrics, log });
  const child = <T extends KubeObject>(resource: Resource<T>, store: Store<T>): ChildAccess<T> => ({
    store,
    applier: new Applier({ kube, resource, store, fieldManager, hashAnnotation: appliedAnnotation }),
  });
  const children = new EnsureChildren(
    {
      deployment: child(deployments, watches.deployments),
      service: child(services, watches.services),
      serviceAccount: child(serviceAccounts, watches.serviceAccounts),
      networkPolicy: child(networkPolicies, watches.networkPolicies),
      podDisruptionBudget: child(podDisruptionBudgets, watches.podDisruptionBudgets),
    },
    limiter,
  );
  const statusWriter = new StatusWriter({
    kube,
    latest: watches.latest,
    events,
    writes: own.statusWrites,
    repairs: own.repairs,
    ...(overrides.statusPauses === undefined ? {} : { pauses: overrides.statusPauses }),
  });
  const refusals = new RefusalRetry(kube);
  const controller = new Controller({
    name: 'portforward',
    group,
    kind,
    queue,
    concurrency: settings.workers,
    metrics,
    log,
    reconcile: reconciler({
      settings,
      portForwards: watches.latest,
      podsOf: (key) => watches.podsOf(key),
      children,
      reader,
      statusWriter,
      refusals,
      forget: (key, deployment) => {
        statusWriter.forget(key);
        refusals.forget(deployment);
        limiter.forget(deployment);
      },
    }),
  });

  // Outlives the signal: what is being drained still reads caches, answers probes and records Events.
  const background = new AbortController();
  const probes = await startProbeServer({
    port: settings.adminPort,
    routes: {
      '/livez': check(() =>
        elector.expiredForMs > expiredLeaderMs ? 'leadership expired, yet this process goes on' : undefined,
      ),
      // Not tied to leadership: a standby is as ready as the leader, or a rolling update would never end.
      '/readyz': check(() => (watches.synced ? undefined : 'the caches are not filled yet')),
      '/metrics': metricsPage(registry),
    },
    signal: background.signal,
    log,
  });
  const watching = watches.run(background.signal);
  const recording = events.run(background.signal);
  try {
    // A listener that throws ends the watches, and that must end the process.
    await Promise.race([watches.waitForSync(signal), watching]);
    const lead = async (leading: AbortSignal): Promise<void> => {
      overrides.onLeading?.({ adminPort: probes.port });
      await Promise.all([controller.run(leading), reader.run(leading), resync(watches.portForwards, queue, leading)]);
    };
    await Promise.race([
      elector.run(lead, signal), // The watches end only when their signal has aborted: nothing more is to be reported then.
      watching.then(() => aborted(background.signal)),
    ]);
  } finally {
    background.abort(signal.aborted ? signal.reason : new Error('the controller ended'));
    await Promise.allSettled([watching, recording, probes.closed]);
    await transport.close();
  }
}
