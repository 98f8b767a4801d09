// Opens a connection to the API server for the questions about an install, and closes it.
// Neighbours: install-check.ts (the questions), ../cli/verify-install.ts (calls it).
import type { Logger } from '../process/log.ts';
import { createRegistry } from '../process/metrics.ts';
import { checkInstall, type InstallCheckOptions } from './install-check.ts';
import { kubeMetrics } from './kube/base/metrics.ts';
import { createKubeClient } from './kube/rest/kube.ts';
import { type KubeConfigSource, loadKubeConfig } from './kube/rest/kube-config.ts';
import { createTransport } from './kube/rest/transport.ts';

export interface VerifyInstallOptions extends Omit<InstallCheckOptions, 'transport' | 'kube'> {
  readonly kubeconfig: KubeConfigSource;
  readonly log: Logger;
}

/** As `checkInstall`. @throws Error if there is no cluster to reach. */
export async function verifyInstall(options: VerifyInstallOptions, signal: AbortSignal): Promise<boolean> {
  const { kubeconfig, log, ...asked } = options;
  const transport = createTransport({
    config: loadKubeConfig(kubeconfig),
    userAgent: 'portforward-verify-install',
    metrics: kubeMetrics(createRegistry()),
    log,
  });
  try {
    return await checkInstall({ ...asked, transport, kube: createKubeClient(transport) }, signal);
  } finally {
    await transport.close();
  }
}
