// Where the clients of one forward come from: accepted by Node, as here, or by the native engine, which carries most of them itself.
// Neighbours: listener.ts serves the clients, native-clients.ts is the engine's source.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { defined } from '../../contract/defined.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Logger } from '../../process/log.ts';
import type { EarlierDial } from '../base/carrier.ts';

export interface ClientSource {
  /** The address that it listens on. */
  readonly address: { readonly host: string; readonly port: number };
  /** Reports dials of its own that were answered and not reported yet. Before each report of a failure: health judges by their order. */
  reportAnswers(): void;
  /** Accepts no new clients; those that it carries itself stay. */
  stopAccepting(): void;
  /** Resolves when it carries nobody itself. */
  empty(): Promise<void>;
  /** Resets those that it carries itself, and counts them. */
  resetAll(): void;
  /** Frees what it holds, after `empty`. */
  close(): void;
}

export interface ClientSourceOptions {
  readonly forward: Forward;
  /** Default: every address, IPv4 and IPv6 if the machine has both. */
  readonly address?: string | undefined;
  /** Takes over a client: paused, nothing was read of it. `earlier`: a dial for it has ended already. */
  readonly serve: (client: Socket, earlier?: EarlierDial) => void;
  readonly log: Logger;
}

/** Opens a forward's port. @throws if it is taken */
export type OpenClientSource = (options: ClientSourceOptions) => Promise<ClientSource>;

/** A client that vanished silently is noticed after this long (plus the kernel's probes). */
const keepAliveMs = 30_000;

/** Every client is carried in JavaScript. */
export const acceptByNode: OpenClientSource = async ({ forward, address, serve, log }) => {
  // allowHalfOpen: the end of one direction is passed on, not answered. pauseOnConnect: what the client sends early stays in the
  // kernel until there is a stream for it.
  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  });
  server.on('connection', (client) => serve(client));
  server.on('error', (error) => log.warn({ error }, 'the listener reported an error'));
  server.listen(defined({ port: forward.listenPort, host: address }));
  await once(server, 'listening');
  const { address: host, port } = server.address() as AddressInfo;
  return {
    address: { host, port },
    reportAnswers: () => undefined,
    stopAccepting: () => void server.close(),
    empty: async () => await Promise.resolve(),
    resetAll: () => undefined,
    close: () => undefined,
  };
};
