// The sockets to the API server: one undici dispatcher per connection class, so that a 10,000-object read never delays the lease.
// HTTP/1.1 on purpose: the classes stay independent and silence is judged by our own timers.
import type { DispatcherOptions } from '@kubernetes/client-node';
import { Agent, type buildConnector, type Dispatcher, ProxyAgent, Socks5ProxyAgent } from 'undici';

/** Connections of their own for ordinary calls, watches and the lease. */
export type ConnectionClass = 'unary' | 'watch' | 'lease';

export interface Connections {
  readonly byClass: Readonly<Record<ConnectionClass, Dispatcher>>;
  /** Takes no new request, lets open ones end, closes. */
  close(): Promise<void>;
  /** Ends everything now. */
  destroy(): Promise<void>;
}

interface ClassOptions {
  readonly connections?: number;
  /** Longest TCP and TLS handshake. Others wait behind it, so the lease's leaves time for more than one within its renewal. */
  readonly connectMs: number;
}

const classOptions: Readonly<Record<ConnectionClass, ClassOptions>> = {
  unary: { connections: 16, connectMs: 5_000 },
  watch: { connectMs: 10_000 },
  lease: { connections: 1, connectMs: 3_000 },
};

/** Opens nothing yet; sockets come with the first request. Throws if the kubeconfig's proxy is of a kind we cannot use. */
export function openConnections(connect: DispatcherOptions): Connections {
  const byClass = {
    unary: dispatcher(connect, classOptions.unary),
    watch: dispatcher(connect, classOptions.watch),
    lease: dispatcher(connect, classOptions.lease),
  };
  const all = Object.values(byClass);
  return {
    byClass,
    close: async () => void (await Promise.all(all.map((each) => each.close()))),
    destroy: async () => void (await Promise.all(all.map((each) => each.destroy()))),
  };
}

function dispatcher(connect: DispatcherOptions, { connectMs, ...limits }: ClassOptions): Dispatcher {
  // Deadlines are ours (transport.ts, watch-stream.ts); undici's would only cut them short.
  const options = {
    ...limits,
    allowH2: false,
    keepAliveTimeout: 30_000,
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  // TCP keep-alive below the idle limit of 60 s that load balancers have.
  const socket = { timeout: connectMs, keepAlive: true, keepAliveInitialDelay: 30_000 };
  // The library's TLS settings in undici's type, which differ only in how they spell "absent".
  const tls = (settings: object): buildConnector.BuildOptions => ({ ...socket, ...settings });
  switch (connect.type) {
    case 'none':
      return new Agent({ ...options, connect: socket });
    case 'agent':
      return new Agent({ ...options, connect: tls(connect.connect) });
    case 'proxy':
      return new ProxyAgent({
        ...options,
        uri: connect.uri,
        requestTls: tls(connect.requestTls),
        proxyTls: socket,
      });
    case 'socks': {
      const uri = connect.uri.replace(/^socks(?:5h)?:/, 'socks5:');
      if (!uri.startsWith('socks5:')) throw new Error('the kubeconfig names a SOCKS 4 proxy; only SOCKS 5 works');
      return new Socks5ProxyAgent(uri, { ...options, requestTls: tls(connect.requestTls) });
    }
  }
}
