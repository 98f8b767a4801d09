// The native engine as the source of a forward's clients: it accepts, dials and carries by itself over the sessions that may carry. Whom it
// cannot carry, or whose dial failed, it gives up untouched; listener.ts goes on with that client from where the engine got to.
// Neighbours: client-source.ts is the interface, base/native-engine.ts the engine, tunnel/carriers.ts says which sessions carry.
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { defined } from '../../contract/defined.ts';
import type { Forward } from '../../contract/tunnel-config.ts';
import type { EarlierDial, NativeCarrier } from '../base/carrier.ts';
import {
  type ClientEnd,
  type DialFailure,
  type Engine,
  listenerCells,
  type NativeLink,
  type NativeListener,
} from '../base/native-engine.ts';
import type { CarrierSource } from '../tunnel/carriers.ts';
import type { ClientSource, ClientSourceOptions, OpenClientSource } from './client-source.ts';
import type { ConnectionShares } from './connection-shares.ts';

export interface NativeClientsOptions {
  readonly engine: Engine;
  readonly carriers: CarrierSource;
  /** The limit of one dial, in milliseconds. */
  readonly dialTimeoutMs: number;
  readonly connections: ConnectionShares;
  /** Where the engine counts what it does for that forward: `listenerCells`. */
  readonly cellsOf: (forward: string) => Float64Array;
  /** Dials for the forward were answered by success: called at the first one, then at most once a second, or before a failure. */
  readonly onAnswered: (forward: Forward) => void;
  /** Each dial that was answered by success, with its time in milliseconds. Default: nobody looks. */
  readonly onDialled?: ((tookMs: number) => void) | undefined;
  /** Whether the end of each connection is logged. */
  readonly logsEnds: boolean;
}

/** Ports whose clients the engine carries. */
export function acceptByEngine(options: NativeClientsOptions): OpenClientSource {
  return async (source) => await Promise.resolve(new NativeClients(options, source));
}

class NativeClients implements ClientSource {
  readonly #options: NativeClientsOptions;
  readonly #source: ClientSourceOptions;
  readonly #cells: Float64Array;
  readonly #listener: NativeListener;
  readonly #unsubscribe: readonly (() => void)[];
  readonly #emptied = new Set<() => void>();
  #carriers: readonly NativeCarrier[] = [];
  /** How many answered dials there were at the last report. */
  #reported = 0;
  /** Of sessions that are lost, too: their last clients come up after that. */
  readonly #carrierOf = new WeakMap<NativeLink, NativeCarrier>();

  constructor(options: NativeClientsOptions, source: ClientSourceOptions) {
    const { engine, carriers, dialTimeoutMs, connections, cellsOf, onDialled, logsEnds } = options;
    const { forward, address = '' } = source;
    const cells = cellsOf(forward.name);
    this.#options = options;
    this.#source = source;
    this.#cells = cells;
    this.#listener = engine.listen({
      host: address,
      port: forward.listenPort,
      destination: forward.destination,
      dialTimeoutMs,
      cells,
      onClient: (fd, why) => this.#giveUp(fd, why),
      onAnswered: () => this.reportAnswers(),
      onIdle: () => this.#idle(),
      ...defined({ onDialled, onEnded: logsEnds ? (end: ClientEnd) => this.#logEnd(end) : undefined }),
    });
    connections.addHolder(forward.name, {
      get open() {
        return cells[listenerCells.open] ?? 0;
      },
      setPlaces: (places) => {
        cells[listenerCells.places] = places;
      },
    });
    this.#unsubscribe = [
      carriers.onChange(() => this.#update()),
      carriers.onSilent((carrier) => this.#takeBack(carrier)),
    ];
    this.#update();
  }

  get address(): ClientSource['address'] {
    const { host, port } = this.#listener;
    return { host, port };
  }

  reportAnswers(): void {
    const carried = this.#cells[listenerCells.carried] ?? 0;
    if (carried === this.#reported) return;
    this.#reported = carried;
    this.#options.onAnswered(this.#source.forward);
  }

  stopAccepting(): void {
    this.#listener.stopAccepting();
  }

  async empty(): Promise<void> {
    if (this.#open === 0) return;
    await new Promise<void>((resolve) => this.#emptied.add(resolve));
  }

  resetAll(): void {
    this.#listener.resetAll();
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listener.close();
  }

  get #open(): number {
    return this.#cells[listenerCells.open] ?? 0;
  }

  #update(): void {
    const before = this.#carriers;
    const now = this.#options.carriers.of(this.#source.forward);
    if (now.length === before.length && now.every((carrier, index) => carrier === before[index])) return;
    this.#carriers = now;
    for (const carrier of now) this.#carrierOf.set(carrier.link, carrier);
    this.#listener.setLinks(now.map(({ link }) => link));
  }

  #takeBack({ link }: NativeCarrier): void {
    // A server of MySQL counts handshakes that are broken off, and in the end blocks the bastion.
    if (this.#source.forward.appProtocol !== 'mysql') this.#listener.takeBack(link);
  }

  #giveUp(fd: number, why: DialFailure | undefined): void {
    const client = this.#clientOf(fd);
    if (client !== undefined) this.#source.serve(client, why === undefined ? undefined : this.#earlierDial(why));
  }

  /** Undefined if Node does not take the descriptor: one client must not become everybody's failure. */
  #clientOf(fd: number): Socket | undefined {
    try {
      return clientOf(fd);
    } catch (error) {
      this.#source.log.warn({ error, forward: this.#source.forward.name }, 'a client could not be taken over');
      closeSync(fd);
      return undefined;
    }
  }

  #earlierDial({ link, cause, reason, text, tookMs }: DialFailure): EarlierDial | undefined {
    const carrier = this.#carrierOf.get(link);
    return carrier === undefined ? undefined : { carrier, cause, reason, text, tookMs };
  }

  #idle(): void {
    if (this.#open > 0) return;
    for (const resolve of this.#emptied) resolve();
    this.#emptied.clear();
  }

  #logEnd({ link, bytesToDestination, bytesToClient, durationMs, brokenBy }: ClientEnd): void {
    const { forward, log } = this.#source;
    log.debug(
      {
        forward: forward.name,
        via: link === undefined ? undefined : this.#carrierOf.get(link)?.via,
        bytesToDestination,
        bytesToClient,
        durationMs: Math.round(durationMs),
        ...(brokenBy === '' ? {} : { brokenBy }),
      },
      'connection ended',
    );
  }
}

/** As a server with `pauseOnConnect` gives it: what the client sent stays in the kernel until somebody reads. */
function clientOf(fd: number): Socket {
  const options = { fd, allowHalfOpen: true, pauseOnCreate: true };
  return new Socket(options);
}
