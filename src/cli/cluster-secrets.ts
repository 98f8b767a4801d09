// Reads Secrets from the cluster of a kubeconfig context that the user names, with the user's own rights. Loaded only if one is named.
// Neighbour: local-secrets.ts.
import { type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { KubeConfig } from '@kubernetes/client-node';
import { deadline } from '../process/deadline.ts';
import { dataOf, type SecretData } from './local-secrets.ts';
import { UsageError } from './usage-error.ts';

/** How long the API server may take. */
const deadlineMs = 15_000;

export interface ClusterSecrets {
  /** The context's namespace, for a document without one. */
  readonly namespace: string;
  /** @throws UsageError if it does not exist or must not be read. */
  read(namespace: string, name: string): Promise<SecretData>;
}

/** @throws UsageError if the kubeconfig has no such context. The current context is never used by default. */
export function clusterSecrets(context: string, signal: AbortSignal): ClusterSecrets {
  const config = new KubeConfig();
  config.loadFromDefault();
  const found = config.getContextObject(context);
  if (found === null) {
    const names = config.getContexts().map(({ name }) => name);
    throw new UsageError(`--context ${context}: the kubeconfig has ${names.length === 0 ? 'none' : names.join(', ')}`);
  }
  config.setCurrentContext(context);
  return {
    namespace: found.namespace ?? 'default',
    read: async (namespace, name) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets/${encodeURIComponent(name)}`;
      const { status, body } = await get(config, path, context, signal);
      const where = `the Secret ${namespace}/${name} of the context ${context}`;
      if (status === 404) throw new UsageError(`${where} does not exist`);
      if (status !== 200) throw new UsageError(`${where} cannot be read: ${messageOf(body)} (${status})`);
      const { data } = JSON.parse(body) as { readonly data?: Readonly<Record<string, string>> };
      return dataOf(data ?? {});
    },
  };
}

async function get(
  config: KubeConfig,
  path: string,
  context: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  using limit = deadline(deadlineMs, { signal, what: 'the API server' });
  const options: RequestOptions = { signal: limit.signal };
  try {
    await config.applyToHTTPSOptions(options);
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    const asked = request(`${config.getCurrentCluster()?.server ?? ''}${path}`, options, (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
    });
    asked.on('error', reject).end();
    return await promise;
  } catch (cause) {
    signal.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`the cluster of the context ${context} does not answer: ${reason}`, { cause });
  }
}

function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { readonly message?: unknown };
    return typeof message === 'string' ? message : 'no reason given';
  } catch {
    return 'no reason given';
  }
}
