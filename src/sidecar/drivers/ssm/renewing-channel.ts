// The way to one destination through one node: a Session Manager session forwards to one host and port only, so each destination has its
// own. It replaces its session make-before-break when that ages, and, where its siblings live, when it dies.
// Neighbours: session.ts has one for each destination, data-channel.ts is the session itself, retired-channels.ts has those before it.
import { TunnelError } from '../../../contract/errors.ts';
import { abortable } from '../../../process/abort.ts';
import { Backoff } from '../../../process/backoff.ts';
import type { Logger } from '../../../process/log.ts';
import type { PortStream } from './base/port-stream.ts';
import type { DataChannel } from './data-channel.ts';
import { RetiredChannels, type RetiredChannelsOptions } from './retired-channels.ts';

export interface RenewingChannelOptions extends RetiredChannelsOptions {
  /** A session to the destination, open and proved. `onChange` is the channel's. @throws TunnelError, or the signal's reason. */
  readonly open: (onChange: () => void, signal: AbortSignal) => Promise<DataChannel>;
  /** For sentences. */
  readonly destination: string;
  /** True for another host than the node: the agent resolves its name once for each session. */
  readonly remoteHost: boolean;
  /** How long the session may live, in milliseconds; Infinity if no limit is known. */
  readonly lifeMs: (channel: DataChannel) => number;
  readonly random: () => number;
  readonly log: Logger;
  /** Anything that the getters tell may have changed. */
  readonly onChange: () => void;
}

/** A name may point elsewhere by now: sessions to other hosts are renewed this often (jittered), for new connections. */
const resolveMs = 15 * 60_000;
/** So many refusals in a row, and the name is resolved anew, but not more often than the pause; a failover is noticed within 30 s. */
const maxRefusals = 2;
const refusalPauses = { initialMs: 15_000, maxMs: 24_000, jitter: 0.3 };
const retryPauses = { initialMs: 1_000, maxMs: 60_000 };
const spacingMs = 5_000;
/** A replacement is wanted this long before a session's time is over. */
const aheadMs = 60_000;

export class RenewingChannel {
  readonly #options: RenewingChannelOptions;
  readonly #closed = new AbortController();
  readonly #retired: RetiredChannels;
  readonly #retry: Backoff;
  readonly #refusalPause: Backoff;
  #current: DataChannel | undefined;
  #replacing: Promise<void> | undefined;
  #loss: TunnelError | undefined;
  #nextAttemptAt = 0;
  #expiresAt = Number.POSITIVE_INFINITY;
  #resolveAt = Number.POSITIVE_INFINITY;
  /** A client found the session in use full. */
  #roomWanted = false;
  #refusals = 0;
  #refusalsCountFrom = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(options: RenewingChannelOptions) {
    this.#options = options;
    this.#retired = new RetiredChannels(options);
    this.#retry = new Backoff({ ...retryPauses, random: options.random });
    this.#refusalPause = new Backoff({ ...refusalPauses, random: options.random });
  }

  /** The first session. @throws TunnelError, or the signal's reason; `mend` then tries again. */
  async start(signal: AbortSignal): Promise<void> {
    const { open, clock } = this.#options;
    try {
      this.#take(await open(() => this.#changed(), signal));
    } catch (error) {
      this.#failed(error, clock.now());
      throw error;
    }
  }

  /** Takes new streams now. */
  get usable(): boolean {
    return this.heard && this.#current?.multiplexer.hasRoom === true;
  }

  /** The session in use is there, and its agent speaks. */
  get heard(): boolean {
    return this.#current !== undefined && !this.#current.suspect;
  }

  /** The node lives and its agent hangs in connecting: a matter of this destination, not of the node, and mended here. */
  get connectHangs(): boolean {
    return this.#current?.connectHangs === true;
  }

  /** The session in use is over. */
  get dead(): boolean {
    return this.#current === undefined;
  }

  /** Why the last session in use was lost. */
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

  /** A stream; waits for a session that is being opened. @throws TunnelError, or the signal's reason. */
  async dial(signal: AbortSignal): Promise<PortStream> {
    signal.throwIfAborted();
    if (this.heard && !this.usable && !this.#roomWanted) {
      this.#roomWanted = true;
      this.#options.onChange();
    }
    if (!this.usable && this.#replacing !== undefined) await abortable(this.#replacing, { signal });
    const current = this.#current;
    if (current === undefined) throw this.#whyNone();
    if (current.connectHangs) throw hanging(this.#options.destination);
    if (current.suspect) {
      throw new TunnelError('NotConnected', 'the session to the destination is silent: it is being replaced');
    }
    if (!current.multiplexer.hasRoom)
      throw new TunnelError('NotConnected', 'the session takes no more streams at the moment');
    const stream = current.multiplexer.open();
    this.#countRefusals(stream);
    return stream;
  }

  /**
   * Starts a replacement if one is due. `siblingsLive`: the tunnel does not see that this lane is broken, so it is ours to mend;
   * without it the tunnel replaces the whole.
   */
  replaceIfDue(siblingsLive: boolean): void {
    const { clock } = this.#options;
    if (this.#closed.signal.aborted || this.#replacing !== undefined) return;
    const now = clock.now();
    // Full is what it carries, or for moments what a slow client makes of it: nothing is replaced for that unless somebody waits, and nobody loses.
    const full = this.heard && !this.usable && this.#current?.multiplexer.exhausted === false;
    if (!full) this.#roomWanted = false;
    const broken = !this.usable && !full;
    const crowded = full && siblingsLive && this.#roomWanted && !this.#retired.isFull;
    // Connections would be ended for an address that most likely did not change, and one that did shows itself by refusals.
    const resolveAt = this.#retired.isFull ? Number.POSITIVE_INFINITY : this.#resolveAt;
    const renewAt = Math.min(this.#expiresAt, resolveAt);
    const refused = this.#refusedTooOften(now);
    const wanted = broken ? siblingsLive || this.connectHangs : now >= renewAt || refused || crowded;
    if (!wanted) this.#plan(broken ? Number.POSITIVE_INFINITY : renewAt);
    else if (now < this.#nextAttemptAt) this.#plan(this.#nextAttemptAt);
    else {
      if (refused) this.#refusalsCountFrom = now + this.#refusalPause.next();
      this.#replacing = this.#replace();
    }
  }

  /** Ends every session and stream. Never rejects. */
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

  async #replace(): Promise<void> {
    const { clock, log, open } = this.#options;
    try {
      const channel = await open(() => this.#changed(), this.#closed.signal);
      this.#replacing = undefined;
      if (this.#closed.signal.aborted) this.#retired.end(channel);
      else {
        this.#retry.reset();
        // A session that has no room again and again must not cost the account a session each time.
        this.#nextAttemptAt = clock.now() + spacingMs;
        const before = this.#current;
        this.#take(channel);
        if (before !== undefined) this.#retired.add(before);
        log.info({ sessionId: channel.sessionId }, 'new connections go over a fresh session');
      }
    } catch (error) {
      this.#replacing = undefined;
      if (this.#closed.signal.aborted) return;
      this.#failed(error, clock.now());
      log.warn({ error }, 'the session to the destination could not be replaced yet');
    }
    this.#options.onChange();
  }

  /** What only a person can mend is this destination's own matter: its siblings were opened. */
  #whyNone(): TunnelError {
    const loss = this.#loss ?? new TunnelError('NotConnected', 'the session to the destination is being replaced');
    return loss.permanent ? new TunnelError('DestinationUnreachable', loss.message, { cause: loss }) : loss;
  }

  #failed(error: unknown, now: number): void {
    this.#nextAttemptAt = now + this.#retry.next();
    if (this.#current === undefined && error instanceof TunnelError) this.#loss = error;
  }

  #take(channel: DataChannel): void {
    const { clock, lifeMs, random, remoteHost } = this.#options;
    const now = clock.now();
    this.#current = channel;
    this.#roomWanted = false;
    this.#refusals = 0;
    // Pods that began together shall not renew together.
    const resolveIn = remoteHost ? resolveMs * (0.8 + 0.2 * random()) : Number.POSITIVE_INFINITY;
    const life = lifeMs(channel);
    const expiresIn = Math.max(life / 2, life - aheadMs * (1 + random()));
    this.#resolveAt = now + resolveIn;
    this.#expiresAt = now + expiresIn;
    this.#plan(Math.min(this.#resolveAt, this.#expiresAt));
    channel.signal.addEventListener('abort', () => {
      if (this.#current !== channel) return;
      this.#current = undefined;
      const { reason } = channel.signal;
      this.#loss = reason instanceof TunnelError ? reason : undefined;
      this.#options.onChange();
    });
  }

  #changed(): void {
    this.#retired.endIdle();
    this.#options.onChange();
  }

  #countRefusals(stream: PortStream): void {
    stream.once('close', () => {
      const { errored } = stream;
      if (errored instanceof TunnelError && errored.code === 'DestinationUnreachable') {
        this.#refusals += 1;
        this.#options.onChange();
      } else if (stream.received > 0) {
        this.#refusals = 0;
        this.#refusalPause.reset();
      }
    });
  }

  #refusedTooOften(now: number): boolean {
    return this.#options.remoteHost && this.#refusals >= maxRefusals && now >= this.#refusalsCountFrom;
  }

  #plan(at: number): void {
    const { clock, onChange } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#closed.signal.aborted || !Number.isFinite(at)) return;
    this.#cancelTimer = clock.after(Math.max(0, at - clock.now()), onChange);
  }
}

function hanging(destination: string): TunnelError {
  return new TunnelError(
    'DestinationTimeout',
    `the SSM agent hangs in connecting to ${destination}: let the node through to it (security groups), or start its machine`,
  );
}
