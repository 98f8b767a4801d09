// The fly driver: one WireGuard peer in an organization's network, one route, its gateway. Reading order of this folder: driver → peer →
// session → way, ladder → helper/ (WireGuard and TCP, in Go) and api/ (fly.io's GraphQL).
import { tmpdir } from 'node:os';
import { type Code, TunnelError } from '../../../contract/errors.ts';
import { secretKeys } from '../../../contract/secret-keys.ts';
import type { FlyConfig } from '../../../contract/tunnel-config.ts';
import { abortable, anyOf } from '../../../process/abort.ts';
import { type Clock, systemClock } from '../../../process/clock.ts';
import { boundGarbage, type HeapBounds } from '../../../process/heap.ts';
import type { Logger } from '../../../process/log.ts';
import type { ByteBudget } from '../../base/byte-budget.ts';
import { CredentialsRecord } from '../../base/credentials-record.ts';
import type { ConnectOptions, CredentialsVerdict, Driver, Route, RouteOptions, Session } from '../../base/driver.ts';
import { watchSecretFiles } from '../../base/secret-files.ts';
import { Graphql } from './api/graphql.ts';
import { createFlyApi, type FlyApi, tokenRefusals } from './api/operations.ts';
import { TokenFile } from './api/token-file.ts';
import { bringUp } from './bring-up.ts';
import { HelperProcess } from './helper/helper-process.ts';
import { helperProgramOf } from './helper/program.ts';
import { OwnPeers } from './own-peers.ts';
import { type Peer, viaOf } from './peer.ts';
import { untilReplaceable } from './replacing.ts';
import { FlySession } from './session.ts';
import { type Gateways, Way } from './way.ts';

export interface FlyDriverOptions {
  readonly namespace: string;
  readonly name: string;
  readonly podUid: string;
  readonly log: Logger;
  readonly budget: ByteBudget;
  /** The helper's program. Default: beside our own. */
  readonly helperProgram?: string;
  /** '' = fly.io's own. */
  readonly apiUrl: string;
  /** The process's environment: the proxy. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  /** Where gateways are; for tests. Default: fly.io's ports, and the names of the system's resolver. */
  readonly gateways?: Gateways;
}

/** While a thousand clients read nothing there is no other reason to collect what their start has left behind. */
const heap: HeapBounds = { growingPercent: 25 };
const flyApiUrl = 'https://api.fly.io';
/** What says that the token is wrong, or is not for what the document names. */
export const tokenCodes: readonly Code[] = [...tokenRefusals, 'AppNotFound', 'OrganizationNotFound'];

export function createFlyDriver(config: FlyConfig, options: FlyDriverOptions): Driver {
  boundGarbage(heap);
  return new FlyDriver(config, options);
}

class FlyDriver implements Driver {
  readonly #config: FlyConfig;
  readonly #options: FlyDriverOptions;
  readonly #clock: Clock;
  readonly #token: TokenFile;
  readonly #api: FlyApi;
  readonly #peers: OwnPeers;
  readonly #record: CredentialsRecord;
  readonly #closed = new AbortController();
  readonly #unwatch = new Set<() => void>();
  #helper: HelperProcess | undefined;
  #session: FlySession | undefined;
  #devices = 0;
  /** The last attempt's turn. One after the other: two devices with one key would take the tunnel from each other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(config: FlyConfig, options: FlyDriverOptions) {
    const { apiUrl, clock = systemClock, environment, log } = options;
    this.#config = config;
    this.#options = options;
    this.#clock = clock;
    const token = new TokenFile(config.credentials);
    this.#token = token;
    const graphql = new Graphql({
      baseUrl: apiUrl === '' ? flyApiUrl : apiUrl,
      authorization: async () => await token.authorization(),
      environment,
      clock,
    });
    this.#api = createFlyApi(graphql, token);
    this.#record = new CredentialsRecord(tokenCodes, log);
    this.#peers = new OwnPeers({ api: this.#api, config, owner: options, record: this.#record, clock, log });
  }

  /** The gateway of this pod's peer, which is made if there is none. */
  async routes({ signal, trace }: RouteOptions): Promise<readonly Route[]> {
    using both = anyOf(signal, this.#closed.signal);
    if (trace !== undefined) {
      trace.begin('token', 'fly.io');
      await this.#token.authorization();
    }
    const peer = await this.#inTurn(both.signal, async () => await this.#peers.current(both.signal, trace));
    return [{ via: viaOf(peer) }];
  }

  async connect(_route: Route, options: ConnectOptions): Promise<Session> {
    using both = anyOf(options.signal, this.#closed.signal);
    return await this.#inTurn(both.signal, async () => await this.#open({ ...options, signal: both.signal }));
  }

  onCredentialsChange(listener: () => void): () => void {
    const { credentials } = this.#config;
    const stop = watchSecretFiles(credentials.directory, secretKeys.fly, () => {
      this.#peers.credentialsChanged();
      this.#record.forget(listener);
    });
    this.#unwatch.add(stop);
    return () => {
      stop();
      this.#unwatch.delete(stop);
    };
  }

  /** The token is tried by a peer that it makes, and by each check of the peer in use. */
  credentialsVerdict(): CredentialsVerdict {
    return this.#record.verdict;
  }

  /** Removes the peers where the token may, and ends the helper. */
  async close(): Promise<void> {
    this.#closed.abort(new TunnelError('NotConnected', 'the tunnel was closed'));
    for (const stop of this.#unwatch) stop();
    // The attempt under way ends by the signal, and cleans up.
    await this.#turn;
    await this.#session?.close();
    // At the same time: the removal needs no helper, and a helper that hangs takes 2 s. No failure of one cuts the other short.
    const ends = [this.#peers.close(), this.#helper?.close() ?? Promise.resolve()];
    await Promise.allSettled(ends);
    await Promise.all(ends);
    await this.#api.close();
  }

  /** Runs the work when the work before it has settled. @throws the signal's reason if that comes first */
  async #inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      signal.throwIfAborted();
      return await work();
    });
    this.#turn = turn.catch(() => undefined);
    return await abortable(turn, { signal });
  }

  async #open({ signal, log, onAnswer, trace }: ConnectOptions): Promise<Session> {
    const replaced = this.#session;
    const verdict = (): CredentialsVerdict => this.#record.verdict;
    // The tunnel of a session that may still recover keeps its peer.
    const fresh = replaced !== undefined && (await untilReplaceable(replaced, { verdict, clock: this.#clock, signal }));
    trace?.begin('helper');
    const helper = await this.#runningHelper(signal);
    const peer = fresh ? await this.#peers.another(signal) : await this.#peers.valid(signal);
    const device = `device-${++this.#devices}`;
    const { transport: allowed } = this.#config;
    const way = this.#wayOf(helper, device, peer, log);
    trace?.begin('handshake', `gateway ${viaOf(peer)}`);
    try {
      await bringUp({ helper, device, peer, way, allowed, clock: this.#clock, signal, onAnswer });
    } catch (error) {
      this.#peers.discard(peer);
      throw error;
    }
    await this.#peers.adopt(peer, fresh ? replaced.signal : undefined);
    if (fresh && !signal.aborted) replaced.giveWay();
    this.#session = new FlySession({
      via: viaOf(peer),
      device,
      peer,
      helper,
      way,
      isPeerValid: async () => await this.#peers.isValid(peer),
      clock: this.#clock,
      log,
    });
    if (signal.aborted) {
      // Nobody takes it: `connect` has rejected.
      await this.#session.close();
      signal.throwIfAborted();
    }
    trace?.note(`the network’s name server echoes, by ${this.#session.facts.transport}`);
    return this.#session;
  }

  #wayOf(helper: HelperProcess, device: string, { endpoint }: Peer, log: Logger): Way {
    const { gateways } = this.#options;
    return new Way({ helper, device, endpoint, allowed: this.#config.transport, gateways, clock: this.#clock, log });
  }

  async #runningHelper(signal: AbortSignal): Promise<HelperProcess> {
    if (this.#helper !== undefined && !this.#helper.signal.aborted) return this.#helper;
    await this.#helper?.close();
    this.#helper = undefined;
    const { environment, budget, log } = this.#options;
    const { helperProgram: program = helperProgramOf(environment) } = this.#options;
    const directory = this.#config.directory === '' ? tmpdir() : this.#config.directory;
    this.#helper = await HelperProcess.start(
      { program, directory, environment, budget, clock: this.#clock, log },
      { signal },
    );
    return this.#helper;
  }
}
