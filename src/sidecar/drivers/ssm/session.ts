// One node as a Session: a renewing channel for each destination. It is suspect when no channel hears its agent: then the tunnel replaces the
// whole session, perhaps through another node. It is over when no channel is left and no retired one carries streams. A single broken channel
// beside working ones is replaced here, and so is one whose agent hangs while it connects to the destination.
// Neighbours: driver.ts opens it, renewing-channel.ts does the work.
import type { Duplex } from 'node:stream';
import { defined } from '../../../contract/defined.ts';
import { TunnelError } from '../../../contract/errors.ts';
import { abortable, anyOf } from '../../../process/abort.ts';
import { type Clock, sleep } from '../../../process/clock.ts';
import type { Destination, Session } from '../../base/driver.ts';
import type { RenewingChannel } from './renewing-channel.ts';

/** How long the channels that are open wait for those that are not. */
const stragglersMs = 10_000;

export class SsmSession implements Session {
  readonly via: string;
  readonly #clock: Clock;
  readonly #channels = new Map<string, RenewingChannel>();
  readonly #starting = new Map<string, Promise<RenewingChannel>>();
  readonly #newChannel: (destination: Destination) => RenewingChannel;
  readonly #over = new AbortController();
  readonly #listeners = new Set<() => void>();
  /** The one whose facts are in status. */
  #first: RenewingChannel | undefined;
  #suspect = false;
  #started = false;
  #judging = false;

  readonly #messageBytes: () => number;

  /** `newChannel` makes a channel that is not started; its `onChange` calls `changed`. `messageBytes`: the largest message to the node now. */
  constructor(
    via: string,
    clock: Clock,
    messageBytes: () => number,
    newChannel: (destination: Destination, changed: () => void) => RenewingChannel,
  ) {
    this.via = via;
    this.#clock = clock;
    this.#messageBytes = messageBytes;
    this.#newChannel = (destination) => newChannel(destination, () => this.#changed());
  }

  /**
   * Opens the channels. Resolves when each is open or has failed, at the latest 10 s after the first is open: the others follow, and a
   * failed one is tried again, because the others need not wait for it. A destination that the node's agent cannot reach says nothing
   * against the node: its clients are told, even if it is the only one. @throws TunnelError if no channel could be opened for another
   * reason, or the signal's reason; nothing is left open then.
   */
  async start(destinations: readonly Destination[], signal: AbortSignal): Promise<void> {
    const starts = destinations.map((destination) => this.#addChannel(destination, signal));
    const settled = Promise.allSettled(starts);
    const waiting = new AbortController();
    const late = Promise.any(starts).then(() => sleep(stragglersMs, { signal: waiting.signal, clock: this.#clock }));
    await Promise.race([settled, late.catch(() => settled)]);
    waiting.abort();
    const all = [...this.#channels.values()];
    const up = all.find((channel) => !channel.dead) ?? all.find((channel) => channel.destinationAtFault);
    if (up === undefined || signal.aborted) {
      await settled;
      await this.close();
      signal.throwIfAborted();
      await Promise.all(starts);
      throw new TunnelError('BastionLost', `the session to ${this.via} was lost as soon as it was open`);
    }
    this.#first = this.#channels.get(keyOf(destinations[0] ?? { host: '', port: 0 })) ?? up;
    if (this.#first.dead) this.#first = up;
    this.#started = true;
    this.#changed();
  }

  /** Resumes the first channel on a new socket, which proves the permission to do so. @throws TunnelError if it is missing. */
  async renewSocket(): Promise<void> {
    await this.#first?.current?.renewSocket();
  }

  get facts(): Session['facts'] {
    const current = this.#first?.current ?? [...this.#channels.values()].find((channel) => !channel.dead)?.current;
    return defined({ sessionId: current?.sessionId, messageBytes: current && this.#messageBytes() });
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  get suspectBecause(): TunnelError | undefined {
    const channels = [...this.#channels.values()];
    return channels.every((channel) => channel.dead) ? lossOf(channels) : undefined;
  }

  get hasRoom(): boolean {
    const channels = [...this.#channels.values()];
    return !this.#over.signal.aborted && (channels.length === 0 || channels.some(canDial));
  }

  get streams(): number {
    let streams = 0;
    for (const channel of this.#channels.values()) streams += channel.streams;
    return streams;
  }

  onSuspectChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves before the destination has answered: the protocol reports only refusals, which fail the stream before its first byte. */
  async dial(destination: Destination, { signal }: { readonly signal: AbortSignal }): Promise<Duplex> {
    this.#over.signal.throwIfAborted();
    const channel = this.#channels.get(keyOf(destination)) ?? (await this.#addChannel(destination, signal));
    return channel.dial(signal);
  }

  async close(): Promise<void> {
    this.#over.abort(new TunnelError('NotConnected', 'the session was closed'));
    await Promise.allSettled(this.#starting.values());
    await Promise.all([...this.#channels.values()].map((channel) => channel.close()));
  }

  /** The channel to a destination, started by the first caller. */
  async #addChannel(destination: Destination, signal: AbortSignal): Promise<RenewingChannel> {
    const key = keyOf(destination);
    const starting = this.#starting.get(key);
    if (starting !== undefined) return abortable(starting, { signal });
    const channel = this.#newChannel(destination);
    const start = (async () => {
      try {
        using either = anyOf(signal, this.#over.signal);
        await channel.start(either.signal);
        this.#over.signal.throwIfAborted();
        return channel;
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      } finally {
        this.#starting.delete(key);
        // One that failed stays and is tried again.
        if (signal.aborted || this.#over.signal.aborted) await channel.close();
        else this.#channels.set(key, channel);
        this.#changed();
      }
    })();
    this.#starting.set(key, start);
    return start;
  }

  #changed(): void {
    // Replacing a channel may call back at once.
    if (!this.#started || this.#judging || this.#over.signal.aborted) return;
    this.#judging = true;
    const channels = [...this.#channels.values()];
    if (
      channels.length > 0 &&
      this.#starting.size === 0 &&
      channels.every((channel) => channel.dead && channel.streams === 0 && !channel.destinationAtFault)
    ) {
      this.#over.abort(lossOf(channels) ?? new TunnelError('BastionLost', `every session to ${this.via} was lost`));
      void this.close();
    } else {
      for (const channel of channels)
        channel.replaceIfDue(channels.some((other) => other !== channel && answers(other)));
      this.#judgeSuspect(
        channels.length > 0 && !channels.some((channel) => channel.heard || blamesDestination(channel)),
      );
    }
    this.#judging = false;
  }

  #judgeSuspect(suspect: boolean): void {
    if (suspect === this.#suspect) return;
    this.#suspect = suspect;
    for (const listener of this.#listeners) listener();
  }
}

/** An agent that hangs while it connects, or cannot reach the destination, says nothing against the node: clients get the reason meanwhile. */
const blamesDestination = (channel: RenewingChannel): boolean => channel.connectHangs || channel.destinationAtFault;

const canDial = (channel: RenewingChannel): boolean => channel.usable || blamesDestination(channel);

/** The node has shown that it works. */
const answers = (channel: RenewingChannel): boolean => channel.usable || channel.destinationAtFault;

const lossOf = (channels: readonly RenewingChannel[]): TunnelError | undefined =>
  channels.find((channel) => channel.loss !== undefined)?.loss;

function keyOf(destination: Destination): string {
  return 'socket' in destination ? destination.socket : `${destination.host}\0${destination.port}`;
}
