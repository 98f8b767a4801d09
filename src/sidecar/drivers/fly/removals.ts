// Peers that this pod no longer needs are removed at fly.io: each again and again until fly.io has done it, because nobody else may remove
// them. Those whose name nobody here knows are looked for in the organization's list.
// Neighbours: own-peers.ts says which peers are not needed, and which ones are; api/operations.ts asks fly.io.
import { type Code, TunnelError } from '../../../contract/errors.ts';
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
/** Requests at a time. */
const maxUnderWay = 8;
/** Another try needs another token: this one may not do it, or is of another organization. */
const refusals: readonly Code[] = [...tokenRefusals, 'OrganizationNotFound'];
/** Stands for the look at the list where otherwise the name of a peer stands. */
const list = '';

export class Removals {
  readonly #options: RemovalsOptions;
  /** To be removed, each with the id of its organization. */
  readonly #owed = new Map<string, string>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, () => Promise<void>>();
  /** What the token may not do: another try needs another token. It may remove and not read the list, or the other way round. */
  readonly #refused = new Set<string>();
  /** The requests without an answer: no list has shown yet whether they made a peer. */
  readonly #perhaps = new Set<string>();
  /** Aborts when nothing is tried any more. */
  readonly #over = new AbortController();
  readonly #pauses = new Backoff(pauses);
  #cancelTimer: (() => void) | undefined;
  #isClosing = false;
  #network: Network | undefined;
  /** There may be peers of this pod that nobody here knows: of an earlier process, or of a request without an answer. */
  #areSomeUnknown = true;
  #lateUntil = Number.NEGATIVE_INFINITY;

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  /** Begins to remove the peer, and does not give up before `close`. Never throws. */
  remove(organizationId: string, name: string): void {
    if (this.#over.signal.aborted) return;
    if (this.#owed.has(name) || this.#owed.size < maxOwed) {
      this.#owed.set(name, organizationId);
      this.#try(name, organizationId);
    } else {
      this.#areSomeUnknown = true;
      this.#plan();
    }
  }

  /** fly.io answers: looks for what nobody here knows, if there may be some, and tries again what failed. Never throws. */
  apiAnswers(network: Network): void {
    this.#network = network;
    this.#refused.clear();
    this.#again();
  }

  /**
   * A request for the peer of that name was given up: it may be on the list. `isLost`: its answer will never come, so the peer may also
   * come there late.
   */
  requestGivenUp(wanted: Network & { readonly name: string }, { isLost }: { readonly isLost: boolean }): void {
    this.#network = wanted;
    this.#areSomeUnknown = true;
    if (isLost) {
      this.#lateUntil = this.#options.clock.now() + lateMs;
      if (this.#perhaps.size < maxOwed) this.#perhaps.add(wanted.name);
    }
    this.#plan();
  }

  /** Another token may do what the one before could not. */
  credentialsChanged(): void {
    this.#refused.clear();
    this.#pauses.reset();
    this.#cancel();
    this.#plan();
  }

  /**
   * Tries until nothing is left, the token refuses all that is left, or the signal aborts. Gives the names of the peers that are left.
   * Never throws.
   */
  async close(
    network: Network | undefined,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ReadonlySet<string>> {
    const { clock } = this.#options;
    this.#network = network ?? this.#network;
    this.#isClosing = true;
    this.#areSomeUnknown ||= haveWalksEnded();
    this.#refused.clear();
    const pausesToEnd = new Backoff(pausesAtEnd);
    try {
      for (;;) {
        this.#again();
        // A look at the list adds removals.
        while (this.#underWay.size > 0) await abortable(Promise.all(this.#underWay.values()), { signal });
        if (!this.#canTryMore) break;
        await sleep(pausesToEnd.next(), { signal, clock });
      }
    } catch {
      // The time is over.
    }
    this.#waiting.clear();
    this.#over.abort();
    const left = new Set(this.#owed.keys());
    this.#report(left);
    return left;
  }

  #report(left: ReadonlySet<string>): void {
    const { log } = this.#options;
    if (left.size > 0) log.warn({ peers: [...left] }, 'WireGuard peers are left at fly.io: remove them by hand');
    const perhaps = [...this.#perhaps].filter((name) => !left.has(name));
    if (perhaps.length === 0) return;
    log.warn({ peers: perhaps }, 'WireGuard peers may be left at fly.io: the requests for them got no answer');
  }

  /** Something is left, and the token does not refuse it. */
  get #canTryMore(): boolean {
    return this.#unreadListOf !== undefined || [...this.#owed.keys()].some((name) => !this.#refused.has(name));
  }

  get #unreadListOf(): Network | undefined {
    return this.#areSomeUnknown && !this.#refused.has(list) ? this.#network : undefined;
  }

  #again(): void {
    this.#cancel();
    for (const [name, organizationId] of this.#owed) {
      if (!this.#refused.has(name)) this.#try(name, organizationId);
    }
    const network = this.#unreadListOf;
    if (network !== undefined) this.#begin(list, async () => await this.#lookFor(network));
  }

  #try(name: string, organizationId: string): void {
    this.#begin(name, async () => await this.#remove(name, organizationId));
  }

  /** One piece of work of each name at a time. */
  #begin(name: string, work: () => Promise<void>): void {
    if (this.#underWay.has(name)) return;
    if (this.#underWay.size >= maxUnderWay) {
      this.#waiting.set(name, work);
      return;
    }
    this.#waiting.delete(name);
    this.#underWay.set(
      name,
      work().finally(() => {
        this.#underWay.delete(name);
        if (!this.#canTryMore) this.#pauses.reset();
        const [next] = this.#waiting;
        if (next !== undefined) this.#begin(...next);
      }),
    );
  }

  async #remove(name: string, organizationId: string): Promise<void> {
    const { api, clock, log } = this.#options;
    using limit = deadline(requestMs, { signal: this.#over.signal, clock, what: 'removing the peer' });
    try {
      await api.removePeer(organizationId, name, { signal: limit.signal });
      this.#owed.delete(name);
      this.#refused.delete(name);
      this.#perhaps.delete(name);
    } catch (error) {
      log.warn({ peer: name, err: error }, 'the WireGuard peer could not be removed yet');
      this.#failed(name, error);
    }
  }

  /** Peers of other pods are left alone: nothing shows that nobody uses them. */
  async #lookFor({ organization, organizationId }: Network): Promise<void> {
    const { api, own, isNeeded, clock, log } = this.#options;
    using limit = deadline(requestMs, { signal: this.#over.signal, clock, what: 'looking for leftover peers' });
    const mayMissLateOnes = clock.now() < this.#lateUntil;
    const cleared = mayMissLateOnes ? [] : [...this.#perhaps];
    this.#areSomeUnknown = false;
    try {
      const names = await api.peerNames(organization, { signal: limit.signal });
      // A walk that is under way needs its own, unless these are the peers of that very walk.
      const isWalks = isOfOwnWalk(own) ? () => false : isOfWalkUnderWay;
      const leftovers = names.filter((name) => name.startsWith(own) && !isNeeded(name) && !isWalks(name));
      for (const name of leftovers) this.remove(organizationId, name);
      for (const name of cleared) this.#perhaps.delete(name);
      if (!mayMissLateOnes) return;
      this.#areSomeUnknown = true;
      this.#plan();
    } catch (error) {
      this.#areSomeUnknown = true;
      log.warn({ err: error }, 'leftover WireGuard peers could not be looked for yet');
      this.#failed(list, error);
    }
  }

  #failed(name: string, error: unknown): void {
    if (error instanceof TunnelError && refusals.includes(error.code)) this.#refused.add(name);
    else this.#refused.delete(name);
    this.#plan();
  }

  #plan(): void {
    if (this.#isClosing || this.#cancelTimer !== undefined || !this.#canTryMore) return;
    this.#cancelTimer = this.#options.clock.after(this.#pauses.next(), () => this.#again());
  }

  #cancel(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}
