// The peers of this pod at fly.io: which one is in use, when another is made, and which are needed no longer. fly.io keeps a peer until
// somebody removes it.
// Neighbours: peer.ts (one peer), removals.ts (removes what is not needed), driver.ts asks for a peer for each device.
import { type Code, TunnelError } from '../../../contract/errors.ts';
import type { FlyConfig } from '../../../contract/tunnel-config.ts';
import { abortable, onAbort } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import { deadline, outlasting } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import type { CredentialsRecord } from '../../base/credentials-record.ts';
import { noTrace, quoted, type Trace } from '../../base/trace.ts';
import { type FlyApi, type Network, tokenRefusals } from './api/operations.ts';
import { forgetPeer, keepPeer, keptPeer, makePeer, type Peer, type PeerWanted, peerNames } from './peer.ts';
import { Removals } from './removals.ts';

export interface OwnPeersOptions {
  readonly api: FlyApi;
  readonly config: FlyConfig;
  readonly owner: { readonly namespace: string; readonly name: string; readonly podUid: string };
  /** Hears what each request shows of the token. */
  readonly record: CredentialsRecord;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A check that nobody waits for is given up after this long. */
const checkMs = 5_000;
/** A request for a peer may be answered for so long after nobody waits for it any more: only the answer shows whether there is a peer. */
const answerMs = 5_000;
/** The removal of all peers at the end. A pod has 10 s after its drain, and up to 2 s of them end its sessions. */
const closeMs = 7_000;
/** Kept apart in the record: a token may allow one and not the other. */
const making = 'a new peer';
const checking = 'the peer in use';

export class OwnPeers {
  readonly #options: OwnPeersOptions;
  readonly #names: ReturnType<typeof peerNames>;
  readonly #removals: Removals;
  readonly #closed = new AbortController();
  #network: Network | undefined;
  #current: Peer | undefined;
  /** The names of the peers that must stay, each with the id of its organization: being made, tried, in use, or replaced with open streams. */
  readonly #needed = new Map<string, string>();
  /** Answers that only we wait for. */
  readonly #late = new Set<Promise<void>>();

  constructor(options: OwnPeersOptions) {
    const { api, clock, log } = options;
    this.#options = options;
    this.#names = peerNames(options.owner);
    const { own } = this.#names;
    this.#removals = new Removals({ api, own, isNeeded: (name) => this.#needed.has(name), clock, log });
  }

  /** The peer in use, the one that an earlier process of this pod kept, or a new one. @throws TunnelError of the API */
  async current(signal: AbortSignal, trace: Trace = noTrace): Promise<Peer> {
    const present = this.#current ?? (await this.#kept());
    const peer = present ?? (await this.#make(signal, trace));
    if (this.#current !== peer) await this.#adopt(peer);
    return peer;
  }

  /** As `current`, but a peer that fly.io no longer knows is replaced. A peer that cannot be checked now counts as valid. */
  async valid(signal: AbortSignal): Promise<Peer> {
    const peer = await this.current(signal);
    if ((await this.isValid(peer, signal)) !== false) return peer;
    const next = await this.#make(signal);
    const kept = this.#adopt(next);
    // Usually it is gone. It is not if fly.io only no longer takes it for valid.
    this.discard(peer);
    await kept;
    return next;
  }

  /** A second peer beside the current one: two devices with one key would take the tunnel from each other. Then `adopt` or `discard` it. */
  async another(signal: AbortSignal): Promise<Peer> {
    return await this.#make(signal);
  }

  /** The peer is in use from now on. The replaced one is removed when `replacedUntil` aborts, because its streams live until then. */
  async adopt(peer: Peer, replacedUntil: AbortSignal | undefined): Promise<void> {
    const replaced = this.#current;
    const kept = this.#adopt(peer);
    if (replaced !== undefined && replaced.name !== peer.name) {
      if (replacedUntil === undefined) this.discard(replaced);
      else onAbort(replacedUntil, () => this.discard(replaced));
    }
    this.#removals.apiAnswers(peer);
    await kept;
  }

  /** Removes a peer that carries nothing, unless it is the current one. Does not wait, never throws. */
  discard({ name, organizationId }: Peer): void {
    if (name === this.#current?.name) return;
    this.#needed.delete(name);
    this.#removals.remove(organizationId, name);
  }

  /** Undefined if fly.io cannot be asked now. Never throws. */
  async isValid(peer: Peer, signal?: AbortSignal): Promise<boolean | undefined> {
    const { api, clock, record } = this.#options;
    const ends = signal === undefined ? this.#closed.signal : [signal, this.#closed.signal];
    using limit = deadline(checkMs, { signal: ends, clock, what: 'validating the peer' });
    const asked = record.note(checking, async () => await api.isValid(peer.address, { signal: limit.signal }));
    return await asked.catch(() => undefined);
  }

  /** A new token may see another organization. */
  credentialsChanged(): void {
    this.#network = undefined;
    this.#removals.credentialsChanged();
  }

  /** Removes every peer of this pod, where the token may, and does not give up for 7 s. Never throws. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    this.#closed.abort();
    using limit = deadline(closeMs, { clock, what: 'removing the peers' });
    // A tunnel that nobody used since its container restarted has not asked for its peer.
    const peer = this.#current ?? (await this.#kept());
    this.#current = undefined;
    if (peer !== undefined) this.#needed.set(peer.name, peer.organizationId);
    for (const [name, organizationId] of this.#needed) this.#removals.remove(organizationId, name);
    this.#needed.clear();
    // Bounded by `answerMs`.
    await Promise.all(this.#late);
    const left = await this.#removals.close(peer ?? this.#network, limit);
    if (peer !== undefined && !left.has(peer.name)) await this.#forget();
  }

  async #kept(): Promise<Peer | undefined> {
    const { region } = this.#options.config;
    return await keptPeer(this.#directory, { own: this.#names.own, region });
  }

  /** Never throws: a next process of this pod sees that fly.io does not know the peer. */
  async #forget(): Promise<void> {
    try {
      await forgetPeer(this.#directory);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the file of the removed WireGuard peer could not be deleted');
    }
  }

  get #directory(): string | undefined {
    const { directory } = this.#options.config;
    return directory === '' ? undefined : directory;
  }

  async #make(signal: AbortSignal, trace: Trace = noTrace): Promise<Peer> {
    const made = this.#request(signal, trace);
    // A name that no token ever found may be misspelt, which says nothing of the token.
    const error: unknown = await made.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (this.#current === undefined && isNotFound(error)) throw error;
    return await this.#options.record.note(making, async () => await made);
  }

  async #request(signal: AbortSignal, trace: Trace): Promise<Peer> {
    const { config, log } = this.#options;
    trace.begin(config.app === undefined ? 'organization' : 'app');
    const network = await this.#ownNetwork(signal);
    trace.note(`organization ${quoted(network.organization)}`);
    trace.begin('peer');
    const gatewayRegion = config.region === '' ? await this.#nearestRegion(signal) : config.region;
    const wanted = { ...network, region: config.region, gatewayRegion, name: this.#names.next() };
    const peer = await this.#answered(wanted, signal);
    trace.note(`gateway ${quoted(peer.endpoint)}`);
    log.info({ peer: peer.name, gateway: peer.endpoint, region: gatewayRegion }, 'made a WireGuard peer');
    return peer;
  }

  /** The peer, if its request is answered before the signal aborts. A peer that is made all the same is removed. */
  async #answered(wanted: PeerWanted, signal: AbortSignal): Promise<Peer> {
    const { api, clock } = this.#options;
    const { name, organizationId } = wanted;
    // Before the answer: a look at the list meanwhile must not take it for a leftover.
    this.#needed.set(name, organizationId);
    const asked = outlasting(
      answerMs,
      { signal, clock },
      async (late) => await makePeer(api, wanted, { signal: late }),
    );
    try {
      return await abortable(asked, { signal });
    } catch (error) {
      this.#needed.delete(name);
      if (signal.aborted) this.#removeLate(asked, wanted);
      else if (isUnanswered(error)) this.#removals.requestGivenUp(wanted, { isLost: true });
      throw error;
    }
  }

  /** Removes the peer of a request that nobody waits for any more, when it is answered. */
  #removeLate(asked: Promise<Peer>, wanted: PeerWanted): void {
    const removed = asked
      .then(
        ({ organizationId, name }) => this.#removals.remove(organizationId, name),
        (error: unknown) => {
          if (!isRefusal(error)) this.#removals.requestGivenUp(wanted, { isLost: true });
        },
      )
      .finally(() => this.#late.delete(removed));
    this.#late.add(removed);
    this.#removals.requestGivenUp(wanted, { isLost: false });
    if (this.#current !== undefined) this.#removals.apiAnswers(this.#current);
  }

  async #adopt(peer: Peer): Promise<void> {
    this.#current = peer;
    this.#needed.set(peer.name, peer.organizationId);
    await keepPeer(this.#directory, peer);
  }

  /** Asked once for each content of the Secret. */
  async #ownNetwork(signal: AbortSignal): Promise<Network> {
    const { api, config } = this.#options;
    const { app, org = '', network } = config;
    const found =
      this.#network ??
      (app === undefined ? await api.organization(org, network, { signal }) : await api.networkOfApp(app, { signal }));
    this.#network = found;
    return found;
  }

  /** Empty where fly.io does not say it: then the gateway is fly.io's choice, too. */
  async #nearestRegion(signal: AbortSignal): Promise<string> {
    try {
      return await this.#options.api.nearestRegion({ signal });
    } catch {
      signal.throwIfAborted();
      return '';
    }
  }
}

/** What fly.io says if it makes no peer. */
const refusals: ReadonlySet<Code> = new Set<Code>([...tokenRefusals, 'GatewayNotFound', 'PeerRefused']);

function isRefusal(error: unknown): boolean {
  return error instanceof TunnelError && refusals.has(error.code);
}

/** Also an answer that says nothing of the request, such as a proxy's. */
function isUnanswered(error: unknown): boolean {
  return error instanceof TunnelError && error.code === 'FlyApiFailed';
}

function isNotFound(error: unknown): boolean {
  return error instanceof TunnelError && (error.code === 'AppNotFound' || error.code === 'OrganizationNotFound');
}
