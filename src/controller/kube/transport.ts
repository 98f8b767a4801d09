/**
 * HTTP to the API server: connections, credentials, deadlines, retries, metrics. It carries raw wire JSON and knows no
 * verbs (`kube.ts`). Why not the client library's: it opens a connection per request, drops unknown fields and never retries.
 */
import type { KubeConfig } from '@kubernetes/client-node';
import type { Logger } from '../../process/log.ts';
import type { KubeMetrics } from './metrics.ts';

/** Connections of their own, so that a long list never delays the lease: ordinary calls, watches, the lease. */
export type Lane = 'unary' | 'watch' | 'lease';

export interface TransportOptions {
  readonly config: KubeConfig;
  readonly userAgent: string;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
  /** Called once per request that is sent, tries included. For tests and benchmarks that count. */
  readonly onRequest?: (request: { readonly method: string; readonly path: string }) => void;
}

export interface Transport {
  /** Closes idle connections and waits for open requests. Abort those first. */
  close(): Promise<void>;
}

export function createTransport(_options: TransportOptions): Transport {
  throw new Error('not written yet');
}
