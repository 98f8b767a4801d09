// Where the API server is and who we are: the only run-time use of the client library. Everything else takes the
// `KubeConfig` it gives.
import { KubeConfig } from '@kubernetes/client-node';

export interface KubeConfigSource {
  /** A kubeconfig file. Default: the pod’s own service account. */
  readonly file?: string | undefined;
  /** Default: the file’s current context. */
  readonly context?: string | undefined;
}

/** Reads the configuration; throws if the file or the service account is not there. */
export function loadKubeConfig(source: KubeConfigSource = {}): KubeConfig {
  const config = new KubeConfig();
  if (source.file === undefined) config.loadFromCluster();
  else config.loadFromFile(source.file);
  if (source.context !== undefined) config.setCurrentContext(source.context);
  if (config.getCurrentCluster() === null)
    throw new Error(`the kubeconfig has no cluster for context ${config.currentContext}`);
  return config;
}
