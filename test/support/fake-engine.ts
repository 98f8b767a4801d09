// The native engine without its packets: real clients on real ports, over links whose far side a test plays. It keeps the promises of
// src/sidecar/base/native-engine.ts. Neighbours: src/sidecar/clients/native-clients.ts is its user, the addon in native/ the real one.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { TunnelError } from '../../src/contract/errors.ts';
import type { NativeCarrier } from '../../src/sidecar/base/carrier.ts';
import {
  type DialFailure,
  dialBuckets,
  type Engine,
  type EngineOptions,
  type ListenOptions,
  linkCells,
  listenerCells,
  type NativeLink,
  type NativeListener,
} from '../../src/sidecar/base/native-engine.ts';

/** What the far side of a link does with a dial. `waits`: nothing, until the test answers. */
export type FarSide = 'opens' | 'waits' | { readonly reason: number; readonly text: string };

export class FakeEngine implements Engine {
  readonly options: EngineOptions;
  readonly listeners: FakeListener[] = [];

  constructor(options: EngineOptions) {
    this.options = options;
  }

  link(): NativeLink {
    throw new Error('a link of the fake is a FakeCarrier');
  }

  listen(options: ListenOptions): NativeListener {
    const listener = new FakeListener(options);
    this.listeners.push(listener);
    return listener;
  }

  waitedMs(): number {
    return 0;
  }

  close(): void {
    for (const listener of this.listeners) listener.close();
  }
}

/** One session's link, and the carrier that its session would have. */
export class FakeCarrier implements NativeCarrier {
  readonly via: string;
  readonly cells = new Float64Array(linkCells.length);
  readonly link: NativeLink & { readonly carrier: FakeCarrier };
  farSide: FarSide = 'opens';
  readonly #listeners = new Set<(busy: boolean) => void>();

  constructor(via: string) {
    this.via = via;
    const unused = (): void => undefined;
    const packets = { setSendKey: unused, setReceiveKey: unused, seal: unused, start: unused, flush: unused };
    this.link = { carrier: this, close: unused, ...packets };
  }

  get channels(): number {
    return this.cells[linkCells.channels] ?? 0;
  }

  get opening(): number {
    return this.cells[linkCells.opening] ?? 0;
  }

  onBusyChange(listener: (busy: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refusalOf(_destination: unknown, { text }: Pick<DialFailure, 'reason' | 'text'>): TunnelError {
    return new TunnelError(text === 'prohibited' ? 'ForwardingProhibited' : 'DestinationRefused', `refused: ${text}`);
  }

  /** So many channels and unanswered dials more, or fewer; whoever listens hears of it in the same turn. */
  count(channels: number, opening: number): void {
    const before = this.channels;
    this.cells[linkCells.channels] = before + channels;
    this.cells[linkCells.opening] = this.opening + opening;
    if ((before === 0) === (this.channels === 0)) return;
    for (const listener of this.#listeners) listener(this.channels > 0);
  }
}

export interface FakeClient {
  readonly socket: Socket;
  readonly carrier: FakeCarrier;
  isOpen: boolean;
}

/** Listens on every address, whatever it was told. Destinations are echoes. */
export class FakeListener implements NativeListener {
  readonly host: string;
  readonly port: number;
  readonly #options: ListenOptions;
  readonly #server: Server;
  readonly #clients = new Set<FakeClient>();
  /** Another handle closes the descriptors of these, and theirs must not. */
  readonly #givenUp: Socket[] = [];
  links: readonly FakeCarrier[] = [];
  /** False: successes wait for `tellAnswered`, as those of one second do. */
  tellsAnswers = true;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.host = options.host === '' ? '::' : options.host;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    this.#server.on('connection', (socket) => this.#take(socket));
    // Without a host it listens before the call returns.
    this.#server.listen(options.port);
    this.port = (this.#server.address() as AddressInfo).port;
  }

  /** Clients that it has now. */
  get clients(): readonly FakeClient[] {
    return [...this.#clients];
  }

  setLinks(links: readonly NativeLink[]): void {
    this.links = links.map((link) => (link as FakeCarrier['link']).carrier);
  }

  takeBack(link: NativeLink): void {
    const taken = this.clients.filter((client) => client.carrier.link === link && !client.isOpen);
    void turn().then(() => {
      for (const client of taken) this.giveUp(client, { cause: 'taken' });
    });
  }

  stopAccepting(): void {
    this.#server.close();
  }

  resetAll(): void {
    for (const client of this.clients) {
      this.#add(listenerCells.resetByDrain);
      this.#forget(client);
      client.socket.resetAndDestroy();
    }
    void turn().then(() => this.#tellIdle());
  }

  close(): void {
    this.stopAccepting();
    this.resetAll();
  }

  /** The far side opens the channel of a client whose dial waits. */
  open(client: FakeClient): void {
    const { socket, carrier } = client;
    client.isOpen = true;
    carrier.count(0, -1);
    this.#add(listenerCells.carried);
    this.#add(listenerCells.dialBuckets + dialBuckets.indexOf(0.005));
    this.#add(listenerCells.dialSecondsSum, 0.004);
    this.#options.onDialled?.(4);
    if (this.tellsAnswers) this.tellAnswered();
    socket.on('error', () => undefined);
    socket.once('close', () => this.#end(client));
    socket.on('data', (chunk: Buffer) => {
      this.#add(listenerCells.toDestination, chunk.length);
      this.#add(listenerCells.toClient, chunk.length);
      socket.write(chunk);
    });
    socket.once('end', () => socket.end());
    socket.resume();
  }

  tellAnswered(): void {
    this.#options.onAnswered();
  }

  /** The dial of that client failed. */
  giveUp(client: FakeClient, why: Partial<DialFailure> & Pick<DialFailure, 'cause'>): void {
    this.#forget(client);
    const { link } = client.carrier;
    this.#handUp(client.socket, { link, reason: 0, text: '', tookMs: 3, ...why });
    this.#tellIdle();
  }

  #take(socket: Socket): void {
    const { cells } = this.#options;
    const isFull = (cells[listenerCells.open] ?? 0) >= (cells[listenerCells.places] ?? 0);
    const [carrier] = this.links.toSorted((a, b) => a.channels - b.channels);
    if (isFull || carrier === undefined) {
      this.#handUp(socket, undefined);
      return;
    }
    const client: FakeClient = { socket, carrier, isOpen: false };
    this.#clients.add(client);
    this.#add(listenerCells.open);
    carrier.count(1, 1);
    const { farSide } = carrier;
    if (farSide === 'opens') this.open(client);
    else if (farSide !== 'waits') this.giveUp(client, { cause: 'refused', ...farSide });
  }

  #end(client: FakeClient): void {
    if (!this.#clients.has(client)) return;
    this.#add(listenerCells.endedClean);
    this.#forget(client);
    const bytes = { bytesToDestination: 1, bytesToClient: 2, durationMs: 1.4 };
    this.#options.onEnded?.({ link: client.carrier.link, ...bytes, brokenBy: '' });
    this.#tellIdle();
  }

  /** Gives up a descriptor that is none of a socket. */
  giveUpDescriptor(fd: number): void {
    this.#options.onClient(fd, undefined);
  }

  #handUp(socket: Socket, why: DialFailure | undefined): void {
    const { _handle: handle } = socket as unknown as { readonly _handle: { readonly fd: number } };
    this.#givenUp.push(socket);
    this.#options.onClient(handle.fd, why);
  }

  #forget(client: FakeClient): void {
    if (!this.#clients.delete(client)) return;
    this.#add(listenerCells.open, -1);
    client.carrier.count(-1, client.isOpen ? 0 : -1);
  }

  #tellIdle(): void {
    if (this.#clients.size === 0) this.#options.onIdle();
  }

  #add(cell: number, count = 1): void {
    const { cells } = this.#options;
    cells[cell] = (cells[cell] ?? 0) + count;
  }
}
