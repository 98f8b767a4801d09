// The way to one destination through one node. A data channel forwards to one host and port only, so each destination has its own. It is
// replaced make-before-break when it ages; when it breaks it is replaced here only while the channels to other destinations work.
// Neighbours: session.ts has one for each destination, data-channel.ts is the channel itself, retired-channels.ts keeps the earlier ones.
import { TunnelError } from '../../../contract/errors.ts';
import { abortable, onAbort } from '../../../process/abort.ts';
import type { Logger } from '../../../process/log.ts';
import { startSpacingMs } from './aws/start-pace.ts';
import type { PortStream } from './base/port-stream.ts';
import type { DataChannel } from './data-channel.ts';
import { RefusalCount } from './refusal-count.ts';
import { RetiredChannels, type RetiredChannelsOptions } from './retired-channels.ts';
import { RetryPause } from './retry-pause.ts';

export interface RenewingChannelOptions extends RetiredChannelsOptions {
  /**
   * Opens and proves a data channel to the destination. `onChange` is the channel's; `spaced`: whether the pause between two starts applies.
   * @throws TunnelError, or the signal's reason.
   */
  readonly open: (
    options: { readonly onChange: () => void; readonly spaced: boolean },
    signal: AbortSignal,
  ) => Promise<DataChannel>;
  /** For sentences. */
  readonly destination: string;
  /** True for another host than the node: the agent resolves its name once per channel. */
  readonly remoteHost: boolean;
  /** How long the channel may live, in milliseconds; Infinity if no limit is known. */
  readonly lifeMs: (channel: DataChannel) => number;
  readonly random: () => number;
  readonly log: Logger;
  /** The value of any getter may have changed. */
  readonly onChange: () => void;
}

/** A name may point elsewhere by now: channels to other hosts are replaced this often (jittered), for new connections. */
const resolveMs = 15 * 60_000;
/** A replacement is opened this long before a channel's time is over. */
const aheadMs = 60_000;
const never = Number.POSITIVE_INFINITY;

/**
 * Why the channel in use should be replaced: it takes no streams; the agent refuses streams, so the name may point elsewhere; its time is
 * nearly over; its name should be resolved again; or it is full and a client waits.
 */
type DueReason = 'broken' | 'refused' | 'expiring' | 'address' | 'crowded';

export class RenewingChannel {
  readonly #options: RenewingChannelOptions;
  readonly #closed = new AbortController();
  readonly #retired: RetiredChannels;
  readonly #pause: RetryPause;
  readonly #refusals: RefusalCount;
  #current: DataChannel | undefined;
  #replacing: Promise<void> | undefined;
  #loss: TunnelError | undefined;
  #nextAttemptAt = 0;
  #expiresAt = never;
  #resolveAt = never;
  /** A client found the channel in use full. */
  #roomWanted = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: RenewingChannelOptions) {
    this.#options = options;
    this.#retired = new RetiredChannels(options);
    this.#pause = new RetryPause(options.random);
    this.#refusals = new RefusalCount(options.random);
  }

  /** Opens the first channel. @throws TunnelError, or the signal's reason; `replaceIfDue` then tries again. */
  async start(signal: AbortSignal): Promise<void> {
    const { open, clock } = this.#options;
    const startedAt = clock.now();
    try {
      this.#use(await open({ onChange: () => this.#changed(), spaced: true }, signal));
    } catch (error) {
      this.#failed(error, startedAt);
      throw error;
    }
  }

  /** True if it takes new streams now. */
  get usable(): boolean {
    return this.heard && this.#current?.multiplexer.hasRoom === true;
  }

  /** True if there is a channel in use and its agent answers. */
  get heard(): boolean {
    return this.#current !== undefined && !this.#current.suspect;
  }

  /** True if the agent answers but hangs while it connects: a fault of this destination, not of the node, so it is replaced here. */
  get connectHangs(): boolean {
    return this.#current?.connectHangs === true;
  }

  /** True if there is no channel in use. */
  get dead(): boolean {
    return this.#current === undefined;
  }

  /** True if there is none because of the destination: the node answered, and its agent cannot or may not reach it. */
  get destinationAtFault(): boolean {
    return this.dead && this.#loss?.layer === 'destination';
  }

  /** Why the last channel in use was lost. */
  get loss(): TunnelError | undefined {
    return this.#loss;
  }

  /** The channel in use, if any. */
  get current(): DataChannel | undefined {
    return this.#current;
  }

  get streams(): number {
    return (this.#current?.multiplexer.streams ?? 0) + this.#retired.streams;
  }

  /** Opens a stream; waits for a channel that is being opened. @throws TunnelError, or the signal's reason. */
  async dial(signal: AbortSignal): Promise<PortStream> {
    signal.throwIfAborted();
    if (this.heard && !this.usable && !this.#roomWanted) {
      this.#roomWanted = true;
      this.#options.onChange();
    }
    if (this.destinationAtFault) throw this.#whyNone();
    if (!this.usable && this.#replacing !== undefined) await abortable(this.#replacing, { signal });
    const current = this.#current;
    if (current === undefined) throw this.#whyNone();
    if (current.connectHangs) throw connectHangsError(this.#options.destination);
    if (current.suspect) {
      throw new TunnelError(
        'NotConnected',
        'the session to the destination is silent or far behind: it is being replaced',
      );
    }
    if (!current.multiplexer.hasRoom) {
      throw new TunnelError('NotConnected', 'the session takes no more streams at the moment');
    }
    const stream = current.multiplexer.open();
    try {
      if (!(await abortable(current.multiplexer.opened(stream), { signal }))) {
        throw new TunnelError('NotConnected', 'the session to the destination stands still: it is being replaced');
      }
    } catch (error) {
      stream.destroy();
      throw error;
    }
    this.#refusals.watch(stream, this.#options.onChange);
    return stream;
  }

  /**
   * Starts a replacement if one is due, otherwise plans when to look again. `siblingsLive`: other channels of the node work, so the tunnel
   * does not see that this one is broken and it is replaced here; otherwise the tunnel replaces the whole session.
   */
  replaceIfDue(siblingsLive: boolean): void {
    if (this.#closed.signal.aborted || this.#replacing !== undefined) return;
    const now = this.#options.clock.now();
    if (!this.#isFull) this.#roomWanted = false;
    const reason = this.#dueReason(siblingsLive, now);
    if (reason === undefined) this.#plan(this.#isBroken ? never : Math.min(this.#expiresAt, this.#addressDueAt));
    else if (now < this.#nextAttemptAt) this.#plan(this.#nextAttemptAt);
    else this.#replacing = this.#replace(reason, now);
  }

  /** Ends every channel and stream. Never rejects. */
  async close(): Promise<void> {
    this.#closed.abort(new TunnelError('NotConnected', 'the session was closed'));
    this.#cancelTimer?.();
    const current = this.#current;
    this.#current = undefined;
    if (current !== undefined) this.#retired.end(current);
    this.#retired.endAll();
    await this.#replacing;
    await this.#retired.ended();
  }

  #dueReason(siblingsLive: boolean, now: number): DueReason | undefined {
    if (this.#isBroken) {
      return siblingsLive || this.connectHangs || this.destinationAtFault ? 'broken' : undefined;
    }
    if (this.#options.remoteHost && this.#refusals.tooMany(now)) return 'refused';
    if (now >= this.#expiresAt) return 'expiring';
    if (now >= this.#addressDueAt) return 'address';
    // A full channel is normal: replace it only if a client waits and no stream is lost by it.
    return this.#isFull && siblingsLive && this.#roomWanted && !this.#retired.isFull ? 'crowded' : undefined;
  }

  /** The agent answers but there is no room: by its many streams, or for a moment by a slow client. */
  get #isFull(): boolean {
    return this.heard && !this.usable && this.#current?.multiplexer.exhausted === false;
  }

  /** True for the single-stream channel of an old agent that has had its stream. */
  get #isUsedUp(): boolean {
    return this.#current?.multiplexer.exhausted === true && !this.#current.agent.multiplexes;
  }

  get #isBroken(): boolean {
    return !this.usable && !this.#isFull;
  }

  /** Do not end streams merely to resolve the name again: a changed address shows up as refusals. */
  get #addressDueAt(): number {
    return this.#retired.isFull ? never : this.#resolveAt;
  }

  async #replace(reason: DueReason, now: number): Promise<void> {
    const { clock, log, open } = this.#options;
    this.#refusals.replacementStarted(now);
    // Each connection of an agent that does not multiplex uses up a session.
    const spaced = !this.#isUsedUp;
    try {
      const channel = await open({ onChange: () => this.#changed(), spaced }, this.#closed.signal);
      this.#replacing = undefined;
      if (this.#closed.signal.aborted) this.#retired.end(channel);
      else {
        this.#pause.opened();
        // A channel that has no room again and again must not cost the account a session each time.
        this.#nextAttemptAt = channel.agent.multiplexes ? clock.now() + startSpacingMs : 0;
        const before = this.#current;
        this.#use(channel);
        if (before !== undefined) this.#retired.add(before);
        log.info({ sessionId: channel.sessionId, reason }, 'new connections use a fresh session');
      }
    } catch (error) {
      this.#replacing = undefined;
      if (this.#closed.signal.aborted) return;
      this.#failed(error, now);
      log.warn({ error, reason }, 'the session to the destination could not be replaced yet');
    }
    this.#options.onChange();
  }

  /** What only a person can fix is this destination's own fault: the channels to the others could be opened. */
  #whyNone(): TunnelError {
    const loss = this.#loss ?? new TunnelError('NotConnected', 'the session to the destination is being replaced');
    return loss.permanent ? new TunnelError('DestinationUnreachable', loss.message, { cause: loss }) : loss;
  }

  #failed(error: unknown, startedAt: number): void {
    if (this.#current === undefined && error instanceof TunnelError) this.#loss = error;
    this.#nextAttemptAt = this.#pause.nextAt(error, startedAt, this.#options.clock.now());
  }

  #use(channel: DataChannel): void {
    const { clock, lifeMs, random, remoteHost } = this.#options;
    const now = clock.now();
    this.#current = channel;
    this.#roomWanted = false;
    this.#refusals.restart();
    // Pods that started together must not replace together.
    this.#resolveAt = remoteHost ? now + resolveMs * (0.8 + 0.2 * random()) : never;
    const life = lifeMs(channel);
    this.#expiresAt = now + Math.max(life / 2, life - aheadMs * (1 + random()));
    this.#plan(Math.min(this.#resolveAt, this.#expiresAt));
    onAbort(channel.signal, (reason) => {
      if (this.#current !== channel) return;
      this.#current = undefined;
      this.#loss = reason instanceof TunnelError ? reason : undefined;
      this.#pause.lived(channel.ageMs);
      // An agent that is ready before it has resolved the name ends an open channel for it.
      if (this.destinationAtFault) this.#failed(reason, clock.now());
      this.#options.onChange();
    });
  }

  #changed(): void {
    this.#retired.endIdle();
    this.#options.onChange();
  }

  #plan(at: number): void {
    const { clock, onChange } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#closed.signal.aborted || !Number.isFinite(at)) return;
    this.#cancelTimer = clock.after(Math.max(0, at - clock.now()), onChange);
  }
}

function connectHangsError(destination: string): TunnelError {
  return new TunnelError(
    'DestinationTimeout',
    `the SSM agent hangs in connecting to ${destination}: let the node through to it (security groups), or start its machine`,
  );
}
