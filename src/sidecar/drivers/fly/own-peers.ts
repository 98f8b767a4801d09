// The peers of this pod at fly.io: which one is in use, when another is made, and that none is left behind. fly.io keeps a peer until
// somebody removes it.
// Neighbours: peer.ts (one peer), api/operations.ts (the requests), driver.ts asks for a peer for each device.
import { TunnelError } from '../../../contract/errors.ts';
import type { FlyConfig } from '../../../contract/tunnel-config.ts';
import { onAbort } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import { deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import type { CredentialsRecord } from '../../base/credentials-record.ts';
import { noTrace, quoted, type Trace } from '../../base/trace.ts';
import { isOfOwnWalk } from '../../base/walker.ts';
import type { FlyApi, Network } from './api/operations.ts';
import { forgetPeer, keepPeer, keptPeer, makePeer, type Peer, peerNames } from './peer.ts';

export interface OwnPeersOptions {
  readonly api: FlyApi;
  readonly config: FlyConfig;
  readonly owner: { readonly namespace: string; readonly name: string; readonly podUid: string };
  /** Hears what each request shows of the token. */
  readonly record: CredentialsRecord;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A request that nobody waits for is given up after this long. */
const requestMs = 5_000;
/** Kept apart in the record: a token may allow one and not the other. */
const making = 'a new peer';
const checking = 'the peer in use';

export class OwnPeers {
  readonly #options: OwnPeersOptions;
  readonly #names: ReturnType<typeof peerNames>;
  readonly #removals = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #network: Network | undefined;
  #current: Peer | undefined;
  #swept = false;
  /** A request for a peer got no answer: fly.io may have made one that nobody here knows. */
  #unanswered = false;
  /** The names of all peers that this process has asked for or taken over. */
  readonly #made = new Set<string>();

  constructor(options: OwnPeersOptions) {
    this.#options = options;
    this.#names = peerNames(options.owner);
  }

  /** The peer in use, the one that an earlier process of this pod kept, or a new one. @throws TunnelError of the API */
  async current(signal: AbortSignal, trace: Trace = noTrace): Promise<Peer> {
    const { region } = this.#options.config;
    const present = this.#current ?? (await keptPeer(this.#directory, { own: this.#names.own, region }));
    const peer = present ?? (await this.#make(signal, trace));
    if (this.#current !== peer) await this.#adopt(peer);
    return peer;
  }

  /** As `current`, but a peer that fly.io no longer knows is replaced. A peer that cannot be checked now counts as valid. */
  async valid(signal: AbortSignal): Promise<Peer> {
    const peer = await this.current(signal);
    if ((await this.isValid(peer)) !== false) return peer;
    const next = await this.#make(signal);
    await this.#adopt(next);
    return next;
  }

  /** A second peer beside the current one: two devices with one key would take the tunnel from each other. Then `adopt` or `discard` it. */
  async another(signal: AbortSignal): Promise<Peer> {
    return await this.#make(signal);
  }

  /** The peer is in use from now on. The replaced one is removed when `replacedUntil` aborts, because its streams live until then. */
  async adopt(peer: Peer, replacedUntil: AbortSignal | undefined): Promise<void> {
    const replaced = this.#current;
    await this.#adopt(peer);
    if (replaced !== undefined && replaced.name !== peer.name) {
      if (replacedUntil === undefined) this.discard(replaced);
      else onAbort(replacedUntil, () => this.discard(replaced));
    }
    if (!this.#swept || this.#unanswered) this.#sweep(peer);
  }

  /** Removes a peer that carries nothing, unless it is the current one. Does not wait, never throws. */
  discard(peer: Peer): void {
    if (peer.name !== this.#current?.name) this.#removeLater(peer.organizationId, peer.name);
  }

  /** Undefined if fly.io cannot be asked now. Never throws. */
  async isValid(peer: Peer): Promise<boolean | undefined> {
    const { api, clock, record } = this.#options;
    using limit = deadline(requestMs, { signal: this.#closed.signal, clock, what: 'validating the peer' });
    const asked = record.note(checking, async () => await api.isValid(peer.address, { signal: limit.signal }));
    return await asked.catch(() => undefined);
  }

  /** A new token may see another organization. */
  credentialsChanged(): void {
    this.#network = undefined;
  }

  /** Removes what is left, where the token may. Never throws. */
  async close(): Promise<void> {
    const peer = this.#current;
    const owner = peer ?? this.#network;
    this.#closed.abort();
    if (owner !== undefined && this.#unanswered) this.#sweep(owner);
    if (peer !== undefined && (await this.#remove(peer.organizationId, peer.name))) await forgetPeer(this.#directory);
    // A sweep adds removals.
    while (this.#removals.size > 0) await Promise.all(this.#removals);
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
    const { api, config, log } = this.#options;
    trace.begin(config.app === undefined ? 'organization' : 'app');
    const network = await this.#ownNetwork(signal);
    trace.note(`organization ${quoted(network.organization)}`);
    trace.begin('peer');
    const gatewayRegion = config.region === '' ? await this.#nearestRegion(signal) : config.region;
    const wanted = { ...network, region: config.region, gatewayRegion, name: this.#names.next() };
    // Before the answer: a sweep meanwhile must not take it for a leftover.
    this.#made.add(wanted.name);
    const peer = await makePeer(api, wanted, { signal }).catch((error: unknown) => {
      this.#made.delete(wanted.name);
      if (signal.aborted || isUnanswered(error)) this.#lost();
      throw error;
    });
    trace.note(`gateway ${quoted(peer.endpoint)}`);
    log.info({ peer: peer.name, gateway: peer.endpoint, region: gatewayRegion }, 'made a WireGuard peer');
    return peer;
  }

  /** A request was given up or failed on its way: looks for its peer now, and once more when the next is adopted or at the end, if it was late. */
  #lost(): void {
    if (this.#current !== undefined) this.#sweep(this.#current);
    this.#unanswered = true;
  }

  async #adopt(peer: Peer): Promise<void> {
    this.#current = peer;
    this.#made.add(peer.name);
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

  /**
   * Removes what earlier processes of this pod, walks of theirs and requests without an answer left behind. Peers of other pods are left
   * alone: nothing shows that nobody uses them.
   */
  #sweep({ organization, organizationId }: Network): void {
    this.#swept = true;
    this.#unanswered = false;
    const { api, clock, log } = this.#options;
    this.#track(
      async () => {
        using limit = deadline(requestMs, { clock, what: 'looking for leftover peers' });
        const names = await api.peerNames(organization, { signal: limit.signal });
        const leftovers = names.filter(
          (name) => name.startsWith(this.#names.own) && !this.#made.has(name) && !isOfOwnWalk(name),
        );
        for (const name of leftovers) this.#removeLater(organizationId, name);
      },
      (error) => log.debug({ err: error }, 'leftover WireGuard peers could not be looked for'),
    );
  }

  #removeLater(organizationId: string, name: string): void {
    this.#track(
      async () => void (await this.#remove(organizationId, name)),
      () => undefined,
    );
  }

  #track(work: () => Promise<void>, onError: (error: unknown) => void): void {
    const done = work()
      .catch(onError)
      .finally(() => this.#removals.delete(done));
    this.#removals.add(done);
  }

  async #remove(organizationId: string, name: string): Promise<boolean> {
    const { api, clock, log } = this.#options;
    using limit = deadline(requestMs, { clock, what: 'removing the peer' });
    try {
      await api.removePeer(organizationId, name, { signal: limit.signal });
      return true;
    } catch (error) {
      log.warn({ peer: name, err: error }, 'the WireGuard peer could not be removed');
      return false;
    }
  }
}

/** Also an answer that says nothing of the request, such as a proxy's. */
function isUnanswered(error: unknown): boolean {
  return error instanceof TunnelError && error.code === 'FlyApiFailed';
}

function isNotFound(error: unknown): boolean {
  return error instanceof TunnelError && (error.code === 'AppNotFound' || error.code === 'OrganizationNotFound');
}
