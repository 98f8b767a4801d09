// One WireGuard device with its peer as a session: dials names and addresses of the organization's network, watches for silence, climbs the
// ladder when there is one, and ends when nothing more is expected of it.
// Neighbours: ladder.ts says what is due, helper/ does it, reasons.ts makes the sentences, driver.ts opens sessions and replaces them.
import { TunnelError } from '../../../contract/errors.ts';
import { type Destination, destinationText } from '../../../contract/tunnel-config.ts';
import { onAbort } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import type { Logger } from '../../../process/log.ts';
import type { Session, SessionDialOptions } from '../../base/driver.ts';
import { noTrace, quoted, type Trace } from '../../base/trace.ts';
import { Addresses } from './addresses.ts';
import type { HelperProcess } from './helper/helper-process.ts';
import { endWith, type HelperStream } from './helper/stream.ts';
import { Ladder } from './ladder.ts';
import type { Peer } from './peer.ts';
import { dialError, nameError } from './reasons.ts';
import type { Way } from './way.ts';

export interface FlySessionOptions {
  readonly via: string;
  readonly device: string;
  readonly peer: Peer;
  readonly helper: Pick<
    HelperProcess,
    'signal' | 'stats' | 'echo' | 'handshake' | 'resolve' | 'dial' | 'closeDevice' | 'setTransport'
  >;
  readonly way: Way;
  /** Whether fly.io still knows the peer; undefined where it cannot be asked now. */
  readonly isPeerValid: () => Promise<boolean | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
}

const tickMs = 1_000;
const echoMs = 2_000;
/** The API forgets peers that are validated too seldom. */
const validateMs = 2 * 60_000;
/** Of the addresses of a name, so many are tried, each for so long. */
const maxAddresses = 4;
const addressMs = 3_000;
/** Nothing is won by giving up the last one early: two lost packets cost 3 s. */
const lastAddressMs = 10_000;
/** More than `connection.maxConnections` allows; the stack has some 50,000 local ports. */
const maxStreams = 16_384;

export class FlySession implements Session {
  readonly via: string;
  /** Read when they are shown: both change while the session lives. */
  readonly facts: Session['facts'];
  readonly #options: FlySessionOptions;
  readonly #ended = new AbortController();
  readonly #ladder: Ladder;
  readonly #addresses: Addresses;
  readonly #suspectListeners = new Set<() => void>();
  readonly #watchingHelper: Disposable;
  #suspect = false;
  #streams = 0;
  #handshakeAt: Date | undefined;
  #validatedAt: number;
  #cancelTick: () => void = () => undefined;
  #deviceClosed: Promise<void> | undefined;

  constructor(options: FlySessionOptions) {
    this.via = options.via;
    this.#options = options;
    const handshakeAt = (): string | undefined => this.#handshakeAt?.toISOString();
    this.facts = {
      get transport() {
        return options.way.transport === 'udp' ? 'UDP' : 'WebSocket';
      },
      get handshakeAt() {
        return handshakeAt();
      },
    };
    const now = options.clock.now();
    this.#ladder = new Ladder(now, tickMs);
    const { helper, device, clock } = options;
    this.#addresses = new Addresses(async (host, timeoutMs) => await helper.resolve(device, host, timeoutMs), clock);
    this.#validatedAt = now;
    this.#watchingHelper = onAbort(options.helper.signal, (reason) => this.#end(lostWith(reason as TunnelError)));
    this.#plan();
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  get suspectBecause(): TunnelError {
    const { way } = this.#options;
    const port = way.transport === 'udp' ? 'UDP 51820' : 'TCP 443';
    const sentence = `the gateway ${this.via} is silent and is tried again: if this lasts, allow the tunnel to reach it by ${port}`;
    return new TunnelError('TunnelDown', sentence);
  }

  get silentMs(): number {
    return this.#ladder.silentMs(this.#options.clock.now());
  }

  askForLife(): void {
    const { helper, device, clock } = this.#options;
    const heard = (): void => this.#ladder.heard(clock.now());
    void helper.echo(device, echoMs).then(heard, () => undefined);
  }

  get hasRoom(): boolean {
    return this.#streams < maxStreams;
  }

  get streams(): number {
    return this.#streams;
  }

  /** True once the ladder allows a second device with a new peer. */
  get replaceable(): boolean {
    return this.signal.aborted || this.#ladder.replaceable;
  }

  /** A new peer works: a session that is still silent ends, so that its clients dial anew instead of waiting. */
  giveWay(): void {
    if (this.replaceable)
      this.#end(new TunnelError('TunnelDown', `a new WireGuard peer replaced the silent one of ${this.via}`));
  }

  onSuspectChange(listener: () => void): () => void {
    this.#suspectListeners.add(listener);
    return () => this.#suspectListeners.delete(listener);
  }

  async dial(destination: Destination, { signal, trace }: SessionDialOptions): Promise<HelperStream> {
    signal.throwIfAborted();
    this.signal.throwIfAborted();
    if ('socket' in destination) {
      throw new TunnelError('ForwardingProhibited', `${destination.socket}: fly.io tunnels reach no unix sockets`);
    }
    this.#streams += 1;
    try {
      const stream = await this.#dialAny(destination, signal, trace);
      stream.once('close', () => (this.#streams -= 1));
      endWith(stream, this.signal);
      return stream;
    } catch (error) {
      this.#streams -= 1;
      signal.throwIfAborted();
      this.signal.throwIfAborted();
      throw error;
    }
  }

  /** Resolves when its device is closed, also if the session has ended by itself. Waits 2 s for a helper that hangs. */
  async close(): Promise<void> {
    this.#end(new TunnelError('NotConnected', `the session through ${this.via} was closed`));
    await this.#deviceClosed;
  }

  async #dialAny(
    { host, port }: Extract<Destination, { host: string }>,
    signal: AbortSignal,
    trace: Trace = noTrace,
  ): Promise<HelperStream> {
    const { helper, device } = this.#options;
    const addresses = await this.#addressesOf(host, signal);
    const tried = addresses.slice(0, maxAddresses);
    trace.note(quoted(tried.join(', ')));
    trace.begin('dial');
    let failure: unknown;
    for (const [index, address] of tried.entries()) {
      const timeoutMs = index < tried.length - 1 ? addressMs : lastAddressMs;
      try {
        return await helper.dial(device, { address, port, timeoutMs }, { signal });
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
    }
    this.#addresses.forget(host);
    throw dialError(failure, destinationText({ host, port }), this.via);
  }

  async #addressesOf(host: string, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await this.#addresses.of(host, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw nameError(error, host, this.via);
    }
  }

  #plan(): void {
    if (this.signal.aborted) return;
    this.#cancelTick = this.#options.clock.after(tickMs, () => {
      void this.#tick().finally(() => this.#plan());
    });
  }

  async #tick(): Promise<void> {
    const { helper, device, clock, way } = this.#options;
    const asked = clock.now();
    const stats = await helper.stats(device).catch(() => undefined);
    if (stats === undefined || this.signal.aborted) return;
    if (stats.silentMs >= 0) this.#ladder.heard(asked - stats.silentMs);
    if (stats.handshakeAtMs > 0) this.#handshakeAt = new Date(stats.handshakeAtMs);
    way.noteStreams(stats.streams);
    for (const step of this.#ladder.tick(clock.now())) this.#take(step);
    this.#judge();
    if (clock.now() - this.#validatedAt >= validateMs) await this.#validate();
  }

  #take(step: ReturnType<Ladder['tick']>[number]): void {
    const { helper, device, way, log } = this.#options;
    const silentMs = Math.round(this.#ladder.silentMs(this.#options.clock.now()));
    if (step !== 'echo') log.debug({ via: this.via, step, silentMs }, 'the gateway is silent');
    if (step === 'echo') void helper.echo(device, echoMs).catch(() => undefined);
    else if (step === 'handshake') void helper.handshake(device).catch(() => undefined);
    else if (step === 'repair') {
      void way.resolveAgain();
      void this.#validate();
    } else if (step === 'otherTransport') void way.changeTransport();
    else if (step === 'dead') {
      this.#end(new TunnelError('TunnelDown', `the WireGuard tunnel through ${this.via} carries nothing`));
    }
  }

  /** A peer that fly.io no longer knows ends the session at once: its gateway will be silent for good. */
  async #validate(): Promise<void> {
    this.#validatedAt = this.#options.clock.now();
    if ((await this.#options.isPeerValid()) === false) {
      this.#end(
        new TunnelError('TunnelDown', `fly.io no longer knows the tunnel’s WireGuard peer ${this.#options.peer.name}`),
      );
    }
  }

  #judge(): void {
    if (this.#suspect === this.#ladder.suspect) return;
    this.#suspect = this.#ladder.suspect;
    const { log } = this.#options;
    log.debug(
      { via: this.via, suspect: this.#suspect },
      this.#suspect ? 'the gateway is silent' : 'the gateway answers again',
    );
    for (const listener of this.#suspectListeners) listener();
  }

  #end(reason: TunnelError): void {
    if (this.signal.aborted) return;
    this.#cancelTick();
    this.#watchingHelper[Symbol.dispose]();
    // Before the helper resets its streams: they end with the reason of the session.
    this.#ended.abort(reason);
    const { helper, device } = this.#options;
    // Nobody may close it later: a session that has ended is forgotten. A helper that is lost took its devices along.
    if (!helper.signal.aborted) this.#deviceClosed = helper.closeDevice(device);
  }
}

/** A helper that we closed is no loss. */
function lostWith(reason: TunnelError): TunnelError {
  if (reason.code === 'NotConnected') return reason;
  return new TunnelError('BastionLost', `${reason.message}; it is started again`, { cause: reason });
}
