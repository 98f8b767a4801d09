// Peers that this pod no longer needs are removed at fly.io: each again and again until fly.io has done it, because nobody else may remove
// them. Those whose name nobody here knows are looked for in the organization's list.
// Neighbours: own-peers.ts says which peers are not needed, and which ones are; api/operations.ts asks fly.io.
import { TunnelError } from '../../../contract/errors.ts';
import { abortable } from '../../../process/abort.ts';
import { Backoff } from '../../../process/backoff.ts';
import { type Clock, sleep } from '../../../process/clock.ts';
import { deadline } from '../../../process/deadline.ts';
import type { Logger } from '../../../process/log.ts';
import { haveWalksEnded, isOfOwnWalk, isOfWalkUnderWay } from '../../base/walker.ts';
import { type FlyApi, type Network, tokenRefusals } from './api/operations.ts';

export interface RemovalsOptions {
  readonly api: Pick<FlyApi, 'peerNames' | 'removePeer'>;
  /** What the names of all peers of this pod, and of no other, begin with. */
  readonly own: string;
  /** Whether the peer of that name is needed: in use, tried, or being made. */
  readonly isNeeded: (name: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One request. Longer than a look-up of the API's name whose first packet was lost, which takes 5 s. */
const requestMs = 10_000;
/** A failure is followed by another try after these pauses; at the end of the pod after shorter ones. */
const pauses = { initialMs: 5_000, maxMs: 2 * 60_000 };
const pausesAtEnd = { initialMs: 500, maxMs: 2_000 };
/** A request that got no answer may still make its peer for so long. */
const lateMs = 15_000;
/** More are found on the organization's list again. */
const maxOwed = 1_000;

export class Removals {
  readonly #options: RemovalsOptions;
  /** To be removed, each with the id of its organization. */
  readonly #owed = new Map<string, string>();
  readonly #underWay = new Map<string, Promise<void>>();
  /** Aborts when nothing is tried any more. */
  readonly #over = new AbortController();
  readonly #pauses = new Backoff(pauses);
  #cancelTimer: (() => void) | undefined;
  #isClosing = false;
  #network: Network | undefined;
  /** There may be peers of this pod that nobody here knows: of an earlier process, or of a request without an answer. */
  #areSomeUnknown = true;
  #lateUntil = Number.NEGATIVE_INFINITY;
  /** The token may not do it: another try needs another token. */
  #isRefused = false;

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  /** Begins to remove the peer, and does not give up before `close`. Never throws. */
  remove(organizationId: string, name: string): void {
    if (this.#over.signal.aborted) return;
    if (this.#owed.size < maxOwed) this.#owed.set(name, organizationId);
    else this.#areSomeUnknown = true;
    this.#try(name, organizationId);
  }

  /** fly.io answers: looks for what nobody here knows, if there may be some, and tries again what failed. Never throws. */
  look(network: Network): void {
    this.#network = network;
    this.#again();
  }

  /** A request for a peer was given up: it may be on the list. `isLost`: its answer will never come, so it may also come there late. */
  given(network: Network | undefined, { isLost }: { readonly isLost: boolean }): void {
    this.#network = network ?? this.#network;
    this.#areSomeUnknown = true;
    if (isLost) this.#lateUntil = this.#options.clock.now() + lateMs;
    this.#plan();
  }

  /** Another token may do what the one before could not. */
  credentialsChanged(): void {
    this.#isRefused = false;
    this.#pauses.reset();
    if (this.#owed.size > 0) this.#plan();
  }

  /** Tries until nothing is left, the token refuses it, or the signal aborts. Gives the names of the peers that are left. Never throws. */
  async close(
    network: Network | undefined,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ReadonlySet<string>> {
    const { clock, log } = this.#options;
    this.#network = network ?? this.#network;
    this.#isClosing = true;
    this.#cancelTimer?.();
    this.#areSomeUnknown ||= haveWalksEnded();
    this.#isRefused = false;
    const pausesToEnd = new Backoff(pausesAtEnd);
    try {
      for (;;) {
        this.#again();
        // A look at the list adds removals.
        while (this.#underWay.size > 0) await abortable(Promise.all(this.#underWay.values()), { signal });
        if (this.#isClean || this.#isRefused) break;
        await sleep(pausesToEnd.next(), { signal, clock });
      }
    } catch {
      // The time is over.
    }
    this.#over.abort();
    const left = new Set(this.#owed.keys());
    if (left.size > 0) log.warn({ peers: [...left] }, 'WireGuard peers are left at fly.io: remove them by hand');
    return left;
  }

  get #isClean(): boolean {
    return this.#owed.size === 0 && (!this.#areSomeUnknown || this.#network === undefined);
  }

  #again(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const [name, organizationId] of this.#owed) this.#try(name, organizationId);
    if (this.#areSomeUnknown && this.#network !== undefined) {
      const network = this.#network;
      this.#begin('', async () => await this.#lookFor(network));
    }
  }

  #try(name: string, organizationId: string): void {
    this.#begin(name, async () => await this.#remove(name, organizationId));
  }

  /** One piece of work of each name at a time. */
  #begin(name: string, work: () => Promise<void>): void {
    if (this.#underWay.has(name)) return;
    this.#underWay.set(
      name,
      work().finally(() => {
        this.#underWay.delete(name);
        if (this.#isClean) this.#pauses.reset();
      }),
    );
  }

  async #remove(name: string, organizationId: string): Promise<void> {
    const { api, clock, log } = this.#options;
    using limit = deadline(requestMs, { signal: this.#over.signal, clock, what: 'removing the peer' });
    try {
      await api.removePeer(organizationId, name, { signal: limit.signal });
      this.#owed.delete(name);
    } catch (error) {
      log.warn({ peer: name, err: error }, 'the WireGuard peer could not be removed yet');
      this.#failed(error);
    }
  }

  /** Peers of other pods are left alone: nothing shows that nobody uses them. */
  async #lookFor({ organization, organizationId }: Network): Promise<void> {
    const { api, own, isNeeded, clock, log } = this.#options;
    using limit = deadline(requestMs, { signal: this.#over.signal, clock, what: 'looking for leftover peers' });
    const mayMissLateOnes = clock.now() < this.#lateUntil;
    this.#areSomeUnknown = false;
    try {
      const names = await api.peerNames(organization, { signal: limit.signal });
      // A walk that is under way needs its own, unless these are the peers of that very walk.
      const isWalks = isOfOwnWalk(own) ? () => false : isOfWalkUnderWay;
      const leftovers = names.filter((name) => name.startsWith(own) && !isNeeded(name) && !isWalks(name));
      for (const name of leftovers) this.remove(organizationId, name);
      if (!mayMissLateOnes) return;
      this.#areSomeUnknown = true;
      this.#plan();
    } catch (error) {
      this.#areSomeUnknown = true;
      log.debug({ err: error }, 'leftover WireGuard peers could not be looked for yet');
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (error instanceof TunnelError && tokenRefusals.includes(error.code)) this.#isRefused = true;
    this.#plan();
  }

  #plan(): void {
    if (this.#isClosing || this.#isRefused || this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#options.clock.after(this.#pauses.next(), () => this.#again());
  }
}
