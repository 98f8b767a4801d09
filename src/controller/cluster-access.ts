// How the controller reaches the API server: one transport, and over it the election, the writes of a leader, and Events.
// Neighbours: main.ts (runs it), kube/rest/ (connections), kube/leaderelection/elector.ts.
import { randomUUID } from 'node:crypto';
import type { KubeConfig } from '@kubernetes/client-node';
import { group } from '../contract/api/names.ts';
import { defined } from '../contract/defined.ts';
import type { Logger } from '../process/log.ts';
import type { Settings } from './base/settings.ts';
import type { KubeMetrics } from './kube/base/metrics.ts';
import { TokenBucket } from './kube/base/token-bucket.ts';
import { EventRecorder } from './kube/events/events.ts';
import { Elector } from './kube/leaderelection/elector.ts';
import { tokenFileOf } from './kube/rest/credentials.ts';
import { createKubeClient, type Kube, writeDeadlineMs } from './kube/rest/kube.ts';
import { loadKubeConfig } from './kube/rest/kube-config.ts';
import { accountOfFile } from './kube/rest/own-account.ts';
import { createTransport, type TransportOptions } from './kube/rest/transport.ts';
import { WriteBackoff } from './kube/rest/write-backoff.ts';

export interface ClusterAccessOptions {
  readonly settings: Settings;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  /** Default: the one that the settings name. */
  readonly kubeConfig?: KubeConfig | undefined;
  /** Sees every request to the API server. */
  readonly onRequest?: TransportOptions['onRequest'] | undefined;
}

export interface ClusterAccess {
  /** Writes only while this process leads, and at the rate of the settings. */
  readonly kube: Kube;
  /** Neither fenced nor limited: for dry runs. */
  readonly unfenced: Kube;
  readonly elector: Elector;
  /** Its Events are neither fenced nor limited: they may be the last words of a former leader. */
  readonly events: EventRecorder;
  /** Lets open requests end and closes every connection. */
  close(): Promise<void>;
}

/** Opens nothing before the first request. @throws Error if there is no cluster to reach. */
export function clusterAccess({ settings, metrics, log, kubeConfig, onRequest }: ClusterAccessOptions): ClusterAccess {
  const config = kubeConfig ?? loadKubeConfig(settings.kubeconfig);
  const transport = createTransport({
    config,
    userAgent: 'portforward-controller',
    metrics,
    log,
    ...defined({ onRequest }),
  });
  const identity = `${settings.podName}_${randomUUID()}`;
  const tokenFile = tokenFileOf(config);
  const elector = new Elector({
    kube: createKubeClient(transport, { connectionClass: 'lease' }),
    lease: { namespace: settings.tunnel.operatorNamespace, name: settings.tunnel.leaseName },
    identity,
    // Uninstalling removes the account, and so the Lease: no release knows of it.
    ...defined({ owner: tokenFile === undefined ? undefined : accountOfFile(tokenFile) }),
    metrics,
    log,
  });
  const bucket = new TokenBucket({ perSecond: settings.writesPerSecond, burst: 2 * settings.writesPerSecond });
  const unfenced = createKubeClient(transport);
  return {
    unfenced,
    kube: createKubeClient(transport, { fence: elector.fence(writeDeadlineMs), bucket, backoff: new WriteBackoff() }),
    elector,
    events: new EventRecorder({
      kube: unfenced,
      reportingController: `${group}/controller`,
      reportingInstance: identity,
      metrics,
      log,
    }),
    close: () => transport.close(),
  };
}
