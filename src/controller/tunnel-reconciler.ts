// The controller's work without its process: watches → queue → reconcile passes, the reads of tunnel pods, and the resync. Wiring only.
// Neighbours: main.ts (runs it), watches.ts (caches and queue), reconcile.ts (one pass).
import { group, kind } from '../contract/api/names.ts';
import { hostPort } from '../contract/ip-address.ts';
import { adminPort } from '../contract/pod.ts';
import type { Logger } from '../process/log.ts';
import type { Registry } from '../process/metrics.ts';
import type { ReportSpan } from '../process/span.ts';
import { classNameOf, type StoredPortForward } from './base/portforward.ts';
import type { Settings } from './base/settings.ts';
import { installOf } from './children/install.ts';
import { appliedAnnotation, fieldManager } from './children/names.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { type ChildAccess, type ChildrenAccess, EnsureChildren } from './ensure-children.ts';
import { Applier } from './kube/apply/apply.ts';
import type { KubeMetrics } from './kube/base/metrics.ts';
import type { KubeObject, Resource } from './kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  type Pod,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from './kube/base/resources.ts';
import type { Store } from './kube/cache/store.ts';
import type { Kube } from './kube/rest/kube.ts';
import { Controller } from './kube/workqueue/controller.ts';
import { WorkQueue } from './kube/workqueue/work-queue.ts';
import { type ControllerMetrics, controllerMetrics } from './metrics.ts';
import { OtherInstall } from './other-install.ts';
import { tunnelOfPod } from './pods.ts';
import { PolicyGrace } from './policy-grace.ts';
import { portForwardSeries } from './portforward-series.ts';
import { type ReconcileDependencies, reconciler } from './reconcile.ts';
import { RefusalRetry } from './refusal-retry.ts';
import { resync } from './resync.ts';
import { RolloutLimiter } from './rollout-limiter.ts';
import { type ReaderTimings, StatuszReader } from './status/statusz-reader.ts';
import { type StatusPauses, StatusWriter } from './status-writer.ts';
import { tracedReconcile } from './traced-reconcile.ts';
import { Watches } from './watches.ts';

export interface TunnelReconcilerOptions {
  readonly settings: Settings;
  readonly access: Pick<ClusterAccess, 'kube' | 'events'>;
  readonly registry: Registry;
  readonly kubeMetrics: KubeMetrics;
  readonly log: Logger;
  /** Where a pod's admin port is. Default: at the pod's address. */
  readonly originOf?: ((pod: Pod) => string) | undefined;
  readonly readerTimings?: ReaderTimings | undefined;
  readonly statusPauses?: StatusPauses | undefined;
  readonly watchIdleMs?: number | undefined;
  /** Takes spans of passes. Default: nothing is traced. */
  readonly trace?: ReportSpan | undefined;
}

export interface TunnelReconciler {
  readonly watches: Pick<Watches, 'run' | 'waitForSync' | 'synced'>;
  /** Works until the signal aborts, then lets running passes end and resolves. Only the leader may call it, with filled caches. */
  lead(signal: AbortSignal): Promise<void>;
}

export function tunnelReconciler(options: TunnelReconcilerOptions): TunnelReconciler {
  const { settings, access, registry, log } = options;
  const { kube } = access;
  const queue = new WorkQueue({ name: 'portforward', metrics: options.kubeMetrics });
  const limiter = new RolloutLimiter({ perMinute: settings.rolloutsPerMinute });
  const ofThisInstall = function* (): Iterable<StoredPortForward> {
    for (const stored of watches.portForwards.values()) if (classNameOf(stored) === settings.className) yield stored;
  };
  const metrics = controllerMetrics(registry, {
    statuses: function* () {
      for (const { status } of ofThisInstall()) yield status;
    },
    rolloutsWaiting: () => limiter.waiting,
    ofOtherInstalls: () => otherInstall.count,
  });
  portForwardSeries(registry, { limit: settings.portForwardSeries, portForwards: ofThisInstall });
  const reader = new StatuszReader({
    originOf: options.originOf ?? ((pod) => `http://${hostPort(pod.status?.podIP ?? '', adminPort)}`),
    isOurs: (pod) => isOurs(pod, settings.className, watches, otherInstall),
    onChange: (pod) => {
      const key = tunnelOfPod(pod);
      if (key !== undefined) queue.add(key);
    },
    reads: metrics.statuszReads,
    timings: options.readerTimings,
  });
  const watches: Watches = new Watches({
    kube,
    className: settings.className,
    namespaces: settings.tunnel.watchNamespaces,
    queue,
    reader,
    metrics: options.kubeMetrics,
    log,
    idleMs: options.watchIdleMs,
  });
  const grace = new PolicyGrace(settings.admissionPolicies);
  const children = new EnsureChildren(childrenAccess(kube, watches), limiter, grace);
  const otherInstall = new OtherInstall({ install: installOf(settings.tunnel), children, events: access.events, log });
  const controller = new Controller({
    name: 'portforward',
    group,
    kind,
    queue,
    concurrency: settings.workers,
    metrics: options.kubeMetrics,
    log,
    reconcile: tracedReconcile(
      reconciler(passDependencies(options, { watches, reader, limiter, grace, metrics, children, otherInstall })),
      options.trace,
    ),
  });
  return {
    watches,
    lead: async (signal) => {
      await Promise.all([controller.run(signal), reader.run(signal), resync(watches.portForwards, queue, { signal })]);
    },
  };
}

/** Whether a pod is of a tunnel that this install keeps. */
function isOurs(pod: Pod, className: string, watches: Watches, otherInstall: OtherInstall): boolean {
  const key = tunnelOfPod(pod);
  if (key === undefined || !watches.isMadeForTunnel(pod)) return false;
  const stored = watches.portForwards.get(key);
  return stored !== undefined && classNameOf(stored) === className && !otherInstall.has(key);
}

interface Parts {
  readonly watches: Watches;
  readonly reader: StatuszReader;
  readonly limiter: RolloutLimiter;
  readonly grace: PolicyGrace;
  readonly metrics: ControllerMetrics;
  readonly children: EnsureChildren;
  readonly otherInstall: OtherInstall;
}

/** What a reconcile pass reads and writes through. */
function passDependencies(
  { settings, access: { kube, events }, statusPauses }: TunnelReconcilerOptions,
  { watches, reader, limiter, grace, metrics, children, otherInstall }: Parts,
): ReconcileDependencies {
  const statusWriter = new StatusWriter({
    kube,
    latest: watches.latest,
    events,
    writes: metrics.statusWrites,
    repairs: metrics.repairs,
    pauses: statusPauses,
  });
  const refusals = new RefusalRetry(kube);
  return {
    settings,
    portForwards: watches.latest,
    podsOf: (key) => watches.podsOf(key),
    children,
    reader,
    statusWriter,
    refusals,
    otherInstall,
    forget: (key, deployment) => {
      statusWriter.forget(key);
      grace.forget(key);
      refusals.forget(deployment);
      limiter.forget(deployment);
      otherInstall.forget(key);
    },
  };
}

function childrenAccess(kube: Kube, watches: Watches): ChildrenAccess {
  const access = <T extends KubeObject>(resource: Resource<T>, store: Store<T>): ChildAccess<T> => ({
    store,
    applier: new Applier({ kube, resource, store, fieldManager, hashAnnotation: appliedAnnotation }),
  });
  return {
    deployment: access(deployments, watches.deployments),
    service: access(services, watches.services),
    serviceAccount: access(serviceAccounts, watches.serviceAccounts),
    networkPolicy: access(networkPolicies, watches.networkPolicies),
    podDisruptionBudget: access(podDisruptionBudgets, watches.podDisruptionBudgets),
  };
}
