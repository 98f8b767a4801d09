// One forward's local port: takes clients, waits for a stream to the destination and bridges both; or tells the client why not.
// Keeps listening during outages, so that clients get the reason instead of a refused port.
// Neighbours: client-source.ts accepts, tunnel.ts dials, bridge.ts carries the bytes, dialects/ tell the reason.
import type { Socket } from 'node:net';
import { defined } from '../../contract/defined.ts';
import { TunnelError } from '../../contract/errors.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Logger } from '../../process/log.ts';
import type { ByteBudget } from '../base/byte-budget.ts';
import type { EarlierDial } from '../base/carrier.ts';
import { reset } from '../base/reset.ts';
import type { Dialled } from '../tunnel/dialer.ts';
import { bridge, type Traffic } from './bridge.ts';
import { acceptByNode, type ClientSource, type OpenClientSource } from './client-source.ts';
import type { ConnectionShares } from './connection-shares.ts';
import { tellReason } from './dialects/tell-reason.ts';

/** Why a client got a reset. */
export type ResetCause = 'limit' | 'dial' | 'session' | 'destination' | 'drain';

export interface ListenerObserver {
  accepted(forward: string): void;
  /** Where the forward's bytes are counted. */
  traffic(forward: string): Traffic;
  reset(forward: string, cause: ResetCause): void;
}

export interface ListenerOptions {
  readonly forward: Forward;
  /** `127.0.0.1` on a laptop. Default: every address, IPv4 and IPv6 if the pod has both. */
  readonly address?: string | undefined;
  /** Opens the port. Default: Node accepts, and every client is carried in JavaScript. */
  readonly openSource?: OpenClientSource | undefined;
  readonly dial: (forward: Forward, signal: AbortSignal, earlier?: EarlierDial) => Promise<Dialled>;
  /** True if a resolved dial proves nothing about the destination yet; only its first byte, or a refusal before that, does. */
  readonly optimisticDials: boolean;
  /** Called with each dial's outcome, for the health of the destination. */
  readonly onDial: (forward: Forward, failure: TunnelError | undefined) => void;
  readonly connections: ConnectionShares;
  readonly budget: ByteBudget;
  readonly log: Logger;
  readonly observer: ListenerObserver;
}

export class Listener {
  readonly #options: ListenerOptions;
  #source: ClientSource | undefined;
  readonly #clients = new Map<Socket, AbortController>();
  /** Clients that are told that the pod is full; they count as neither connected nor open. */
  readonly #refused = new Set<Socket>();
  readonly #emptied = new Set<() => void>();
  #isClosing = false;

  private constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Resolves once it listens; rejects if the port is taken. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { forward, address, log, openSource = acceptByNode } = options;
    const listener = new Listener(options);
    const serve = (client: Socket, earlier?: EarlierDial): void => void listener.#serve(client, earlier);
    listener.#source = await openSource({ forward, address, serve, log });
    return listener;
  }

  get forward(): Forward {
    return this.#options.forward;
  }

  /** The address that it listens on. */
  get address(): { readonly host: string; readonly port: number } {
    if (this.#source === undefined) throw new Error('the port is not open yet');
    return this.#source.address;
  }

  /** Accepts no new clients; the connected ones stay. */
  stopAccepting(): void {
    this.#source?.stopAccepting();
  }

  /** Resolves when no client is connected. */
  async empty(): Promise<void> {
    await this.#source?.empty();
    if (this.#clients.size === 0) return;
    await new Promise<void>((resolve) => this.#emptied.add(resolve));
  }

  /** Closes the port and resets every client. Resolves when they are gone. */
  async close(): Promise<void> {
    this.stopAccepting();
    this.#isClosing = true;
    this.#source?.resetAll();
    for (const [client, abort] of this.#clients) {
      this.#options.observer.reset(this.forward.name, 'drain');
      abort.abort(new TunnelError('NotConnected', 'the tunnel is stopping'));
      reset(client);
    }
    for (const client of this.#refused) reset(client);
    await this.empty();
    this.#source?.close();
  }

  async #serve(client: Socket, earlier: EarlierDial | undefined): Promise<void> {
    const { forward, connections, observer, log } = this.#options;
    client.on('error', () => undefined);
    if (this.#isClosing) {
      observer.reset(forward.name, 'drain');
      reset(client);
      return;
    }
    if (!connections.admit(forward.name)) {
      await this.#refuseFull(client);
      return;
    }
    const abort = new AbortController();
    this.#clients.set(client, abort);
    observer.accepted(forward.name);
    try {
      await this.#carry(client, abort.signal, earlier);
    } catch (error) {
      // Only a bug gets here; it must not affect other clients.
      log.error({ error, forward: forward.name }, 'a connection failed unexpectedly');
      reset(client);
    } finally {
      connections.release(forward.name);
      this.#clients.delete(client);
      if (this.#clients.size === 0) {
        for (const resolve of this.#emptied) resolve();
        this.#emptied.clear();
      }
    }
  }

  /** Tells the client that the port may have no more connections. It never reaches the destination, and says nothing about it. */
  async #refuseFull(client: Socket): Promise<void> {
    const { forward, connections, observer, log } = this.#options;
    const { max } = connections;
    const error = new TunnelError(
      'ConnectionLimit',
      `this tunnel pod already carries all connections that port ${forward.port} may have (maxConnections ${max}): close some, or raise it`,
    );
    observer.reset(forward.name, 'limit');
    log.debug({ forward: forward.name, reason: error.code, message: error.message }, 'client refused');
    this.#refused.add(client);
    const isTold = await connections.tell(async () => await tellReason(client, forward.appProtocol, error));
    if (!isTold) reset(client);
    this.#refused.delete(client);
  }

  async #carry(client: Socket, signal: AbortSignal, earlier: EarlierDial | undefined): Promise<void> {
    const { forward, budget, observer, log, optimisticDials, onDial } = this.#options;
    const startedAt = performance.now();
    const dialled = await this.#dial(client, signal, earlier);
    if (dialled === undefined) return;
    const traffic = observer.traffic(forward.name);
    const result = await bridge(client, dialled.stream, dialled.signal, {
      budget,
      traffic,
      onAnswer: optimisticDials ? () => onDial(forward, undefined) : undefined,
    });
    if (result.refusal !== undefined) {
      await this.#refuse(client, result.refusal, signal);
      return;
    }
    // `close` counts the clients that it resets.
    if (!signal.aborted && (result.brokenBy === 'session' || result.brokenBy === 'destination')) {
      observer.reset(forward.name, result.brokenBy);
    }
    log.debug(
      defined({
        forward: forward.name,
        via: dialled.via,
        bytesToDestination: result.bytesToDestination,
        bytesToClient: result.bytesToClient,
        durationMs: Math.round(performance.now() - startedAt),
        brokenBy: result.brokenBy,
      }),
      'connection ended',
    );
  }

  /** The stream for this client; undefined if there is none, after the client was told why. */
  async #dial(client: Socket, signal: AbortSignal, earlier: EarlierDial | undefined): Promise<Dialled | undefined> {
    const { forward, dial, optimisticDials, onDial } = this.#options;
    try {
      const dialled = await dial(forward, signal, earlier);
      if (!optimisticDials) onDial(forward, undefined);
      return dialled;
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error;
      await this.#refuse(client, error, signal);
      return undefined;
    }
  }

  /** Tells the client why there is no stream for it. Resolves when the client is gone. */
  async #refuse(client: Socket, error: TunnelError, signal: AbortSignal): Promise<void> {
    const { forward, onDial, observer, log } = this.#options;
    if (!signal.aborted) {
      this.#source?.reportAnswers();
      onDial(forward, error);
    }
    log.debug({ forward: forward.name, reason: error.code, message: error.message }, 'connection failed');
    observer.reset(forward.name, 'dial');
    await tellReason(client, forward.appProtocol, error);
  }
}
