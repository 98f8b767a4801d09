// One client's way to a stream: waits a little for a session, dials, and tries what else could carry the client before it is failed:
// another session if one was lost or is silent, the next bastion if the failure lies beyond this one. Until a stream is handed out, no byte
// of the client has been sent, so trying again is always safe. Neighbours: session-source.ts gives sessions, silence-watch.ts says which are
// silent, listener.ts and health/ dial.
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../contract/errors.ts';
import { destinationText, type Forward } from '../../contract/tunnel-config.ts';
import { anyOf, onAbort } from '../../process/abort.ts';
import type { Clock } from '../../process/clock.ts';
import { deadline } from '../../process/deadline.ts';
import type { EarlierDial } from '../base/carrier.ts';
import { asTunnelError } from './route-attempts.ts';
import type { PooledSession } from './session-pool.ts';
import type { SessionSource } from './session-source.ts';
import { spokeWithin, unansweredMs, untilSilent } from './silence-watch.ts';

/** A stream to a destination, with the signal of the session that carries it: it aborts before the stream ends. */
export interface Dialled {
  readonly stream: Duplex;
  readonly signal: AbortSignal;
  readonly via: string;
}

export interface DialOptions {
  readonly signal: AbortSignal;
  /** How long to wait for a session when there is none, in milliseconds. */
  readonly holdMs: number;
  /** The engine's dial for the same client, which has ended: it goes on from there. */
  readonly earlier?: EarlierDial | undefined;
}

/** Calls back on close, also if the stream is closed already: it may break between its opening and the first who could listen. */
export function whenClosed(stream: Duplex, callback: () => void): void {
  if (stream.closed) callback();
  else stream.once('close', callback);
}

/** Sessions may be lost one after the other while a client waits; at most this many are tried for it. */
const maxSessionsTried = 4;
/** How long a forward that only another bastion could reach is dialled there first. */
const preferenceMs = 60_000;

export class Dialer {
  readonly #source: SessionSource;
  readonly #dialTimeoutMs: number;
  readonly #clock: Clock;
  /** Clients that wait for a session. */
  #waiting = 0;
  readonly #preferred = new Map<string, { readonly via: string; readonly until: number }>();

  constructor(source: SessionSource, dialTimeoutMs: number, clock: Clock) {
    this.#source = source;
    this.#dialTimeoutMs = dialTimeoutMs;
    this.#clock = clock;
  }

  /** True while clients wait for a session: the end of any stream may give them room. */
  get isAwaited(): boolean {
    return this.#waiting > 0;
  }

  /** A stream to the forward's destination. @throws TunnelError, or the signal's reason. */
  async dial(forward: Forward, { signal, holdMs, earlier }: DialOptions): Promise<Dialled> {
    const lost = new Set<PooledSession>();
    let begun = earlier === undefined ? undefined : this.#resume(forward, earlier);
    let failure: TunnelError | undefined;
    while (lost.size < maxSessionsTried) {
      signal.throwIfAborted();
      const picked = begun?.entry ?? this.#preferredEntry(forward) ?? this.#source.pick(lost);
      const entry = picked ?? (await this.#waitForSession(lost, holdMs, signal));
      if (entry === undefined) throw failure ?? this.#source.unavailableReason();
      const [known, isSilent] = [begun?.failure, begun !== undefined];
      begun = undefined;
      try {
        if (known !== undefined) throw known;
        return await this.#dialOrSecond(entry, lost, forward, { signal, isSilent });
      } catch (cause) {
        signal.throwIfAborted();
        failure = asTunnelError(cause, entry.via);
        if (failure.layer === 'destination') return await this.#dialElsewhere(entry.via, forward, failure, signal);
        this.#prefer(forward, undefined);
        lost.add(entry);
      }
    }
    throw failure ?? this.#source.unavailableReason();
  }

  /** The bastion over which the forward's destination is dialled first; undefined: any. */
  preferredVia(forward: Forward): string | undefined {
    const preferred = this.#preferred.get(forward.name);
    if (preferred === undefined || this.#clock.now() < preferred.until) return preferred?.via;
    this.#preferred.delete(forward.name);
    return undefined;
  }

  #preferredEntry(forward: Forward): PooledSession | undefined {
    const via = this.preferredVia(forward);
    return via === undefined ? undefined : this.#source.pickVia(via);
  }

  /** Where the engine's dial has got to. Without a failure its session is silent. Undefined: nothing of it helps any more. */
  #resume(
    forward: Forward,
    { carrier, cause, tookMs, ...refusal }: EarlierDial,
  ): { readonly entry: PooledSession; readonly failure: TunnelError | undefined } | undefined {
    const entry = this.#source.entryOf(carrier);
    if (cause === 'taken') return entry && { entry, failure: undefined };
    const failure =
      cause === 'refused'
        ? carrier.refusalOf(forward.destination, refusal)
        : cause === 'timeout' && entry !== undefined
          ? this.#unanswered(entry, forward)
          : new TunnelError('BastionLost', `the session to ${carrier.via} was lost while it was dialled over`);
    this.#source.dialled(tookMs, failure.code, true);
    if (entry === undefined || cause === 'lost') return undefined;
    this.#judge(entry, forward, failure);
    return { entry, failure };
  }

  /** Undefined after `holdMs` without a session, or as soon as waiting cannot help. */
  async #waitForSession(
    avoid: ReadonlySet<PooledSession>,
    holdMs: number,
    signal: AbortSignal,
  ): Promise<PooledSession | undefined> {
    const source = this.#source;
    if (holdMs <= 0 || source.needsIntervention()) return undefined;
    const { promise, resolve } = Promise.withResolvers<PooledSession | undefined>();
    using limit = deadline(holdMs, { signal, clock: this.#clock, what: 'waiting for a session' });
    using _ = onAbort(limit.signal, () => resolve(undefined));
    const unsubscribe = source.onChange(() => {
      const entry = source.pick(avoid);
      if (entry !== undefined || source.needsIntervention()) resolve(entry);
    });
    this.#waiting += 1;
    try {
      source.clientWaits();
      const found = await promise;
      signal.throwIfAborted();
      return found;
    } finally {
      this.#waiting -= 1;
      unsubscribe();
    }
  }

  /** The dial over that session and, if it is silent meanwhile, over one other as well: the first stream wins. */
  async #dialOrSecond(
    entry: PooledSession,
    avoid: ReadonlySet<PooledSession>,
    forward: Forward,
    { signal, isSilent }: { readonly signal: AbortSignal; readonly isSilent: boolean },
  ): Promise<Dialled> {
    // A server of MySQL counts handshakes that are broken off, and in the end blocks the bastion.
    if (entry.session.silentMs === undefined || forward.appProtocol === 'mysql') {
      return await this.#dialOver(entry, forward, signal);
    }
    const decided = new AbortController();
    using either = anyOf(signal, decided.signal);
    let isSecondUnderWay = false;
    const first = this.#dialOver(entry, forward, either.signal).catch((failure: unknown) => {
      if (!isSecondUnderWay) decided.abort(failure);
      throw failure;
    });
    const second = this.#otherThanSilent(entry, avoid, { signal: either.signal, isSilent }).then(async (other) => {
      isSecondUnderWay = true;
      return await this.#dialOver(other, forward, either.signal);
    });
    let winner: Dialled | undefined;
    try {
      winner = await Promise.any([first, second]);
      return winner;
    } catch {
      // The second's failure says less.
      return await first;
    } finally {
      decided.abort();
      const endUnlessWinner = (dialled: Dialled): void => void (dialled !== winner && dialled.stream.destroy());
      for (const dial of [first, second]) dial.then(endUnlessWinner, () => undefined);
    }
  }

  /** Once the session is silent (`isSilent`: it is): another that is not. @throws the signal's reason, or TunnelError if there is none */
  async #otherThanSilent(
    silent: PooledSession,
    avoid: ReadonlySet<PooledSession>,
    { signal, isSilent }: { readonly signal: AbortSignal; readonly isSilent: boolean },
  ): Promise<PooledSession> {
    const source = this.#source;
    const notThese = new Set([...avoid, silent]);
    const twins = (): PooledSession[] => {
      const seen = new Set(notThese);
      for (let twin = source.pick(seen); twin !== undefined; twin = source.pick(seen)) seen.add(twin);
      return [...seen].slice(notThese.size);
    };
    const ask = (): void => {
      for (const { session } of [silent, ...twins()]) session.askForLife?.();
    };
    const askedForMs = isSilent ? unansweredMs : await untilSilent(silent.session, { clock: this.#clock, signal, ask });
    // A bastion that stalls stalls all of its sessions, and the last byte of one may have come later: only an answer shows life.
    for (const twin of twins()) {
      if (spokeWithin(twin.session, askedForMs)) return twin;
      notThese.add(twin);
    }
    const other =
      (await source.pickOther(silent.via, { signal })) ??
      (await this.#waitForSession(notThese, this.#dialTimeoutMs, signal));
    if (other === undefined) throw source.unavailableReason();
    return other;
  }

  async #dialOver(entry: PooledSession, forward: Forward, signal: AbortSignal): Promise<Dialled> {
    const source = this.#source;
    const startedAt = this.#clock.now();
    source.carry(entry);
    let failure: TunnelError | undefined;
    try {
      const stream = await this.#dialBefore(entry, forward, signal);
      source.answered(entry);
      whenClosed(stream, () => source.release(entry));
      return { stream, signal: entry.session.signal, via: entry.via };
    } catch (cause) {
      source.release(entry);
      failure = asTunnelError(cause, entry.via);
      this.#judge(entry, forward, failure);
      throw cause;
    } finally {
      if (!signal.aborted) source.dialled(this.#clock.now() - startedAt, failure?.code);
    }
  }

  /** What a failed dial shows about its session. */
  #judge(entry: PooledSession, forward: Forward, { layer, code }: TunnelError): void {
    // Silence proves nothing about the session; every other failure beyond the bastion is an answer that came over it.
    if (layer === 'destination' && code !== 'DestinationTimeout') this.#source.answered(entry);
    if (code === 'ForwardingProhibited') this.#source.prohibited(entry, forward);
  }

  #unanswered(entry: PooledSession, { destination }: Forward): TunnelError {
    const seconds = Math.round(this.#dialTimeoutMs / 1000);
    const where = `${destinationText(destination)} via ${entry.via}`;
    // The silence of a session says nothing about the destination.
    return entry.session.suspect
      ? new TunnelError('BastionLost', `the session to ${entry.via} fell silent while ${where} was dialled`)
      : new TunnelError('DestinationTimeout', `${where} did not answer within ${seconds} s`);
  }

  async #dialBefore(entry: PooledSession, forward: Forward, signal: AbortSignal): Promise<Duplex> {
    using limit = deadline(this.#dialTimeoutMs, {
      signal,
      clock: this.#clock,
      reason: () => this.#unanswered(entry, forward),
    });
    try {
      const stream = await entry.session.dial(forward.destination, { signal: limit.signal });
      // The stream may break before the bridge listens, and an error without a listener would end the process.
      stream.on('error', () => undefined);
      return stream;
    } catch (cause) {
      throw limit.expired ? limit.signal.reason : cause;
    }
  }

  /** The same dial through the next bastion; if that fails too, the client gets the first failure. */
  async #dialElsewhere(via: string, forward: Forward, failure: TunnelError, signal: AbortSignal): Promise<Dialled> {
    const other = await this.#source.pickOther(via, { signal });
    if (other === undefined) throw failure;
    try {
      const dialled = await this.#dialOver(other, forward, signal);
      this.#prefer(forward, other.via);
      return dialled;
    } catch {
      signal.throwIfAborted();
      this.#prefer(forward, undefined);
      throw failure;
    }
  }

  #prefer({ name }: Forward, via: string | undefined): void {
    const before = this.#preferred.get(name)?.via;
    if (via === undefined) this.#preferred.delete(name);
    else this.#preferred.set(name, { via, until: this.#clock.now() + preferenceMs });
    if (via !== before) this.#source.preferenceChanged();
  }
}
