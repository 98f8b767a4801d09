// The sessions of one tunnel: the role of each, the streams it carries and its end. Which sessions are opened, and with which role, is
// decided in session-planner.ts; this file only keeps them. Neighbours: tunnel.ts adds sessions and hears of their loss, trial.ts judges
// those on trial, dialer.ts dials over them.
//
//                 opened                               opened                             opened
//           (no session takes dials,          (newer credentials, or             (a client needs another
//            or too few do)                    a better route)                    route for its destination)
//                   │                                │                                  │
//                   ▼      proved and trusted,       ▼                                  ▼
//              ┌────────┐  or no live one left  ┌─────────┐                        ┌─────────┐
//              │  live  │ ◄──────────────────── │  trial  │                        │  spare  │
//              └────────┘ ◄──┐                  └─────────┘                        └─────────┘
//   replaced, or    │        │                       │ carries no dial                  │ │ unused for a minute
//   one too many    ▼        └───────────────────────│──────────────────────────────────┘ │
//             ┌─────────┐      no live one left      ▼                                    ▼
//             │ retired │                          ended                                ended
//             └─────────┘
//                   │ its last stream ended, or its drain timeout is over
//                   ▼
//                 ended
//
//   live     takes new dials while it is not suspect and has room
//   trial    authenticated, but not yet proved or not yet trusted; takes dials only if no live session can
//   spare    over a worse route, for destinations that the better one cannot reach
//   retired  carries its open streams to their end and takes no new ones
// Any of them may be lost at any time; then it is in the pool no longer.
import { TunnelError } from '../../contract/errors.ts';
import { onAbort } from '../../process/abort.ts';
import type { Clock } from '../../process/clock.ts';
import type { NativeCarrier } from '../base/carrier.ts';
import type { Session } from '../base/driver.ts';

export type Role = 'live' | 'trial' | 'spare' | 'retired';
/** A role that a session may be opened for. */
export type Purpose = Exclude<Role, 'retired'>;

export interface PooledSession {
  readonly session: Session;
  readonly via: string;
  /** The generation of the credentials with which it was authenticated, or a later one that proved to change nothing for it. */
  readonly credentialsGeneration: number;
  readonly openedAt: number;
  readonly role: Role;
  /** Dials under way and streams open, the native engine's too: a retired session ends when this falls to 0. */
  readonly carried: number;
  readonly lastUsedAt: number;
  /** One dial of it was answered, by success or by a failure beyond the bastion. */
  readonly proved: boolean;
}

type Entry = { -readonly [K in keyof Omit<PooledSession, 'carried'>]: PooledSession[K] } & {
  readonly carried: number;
  /** Dials and streams of JavaScript. */
  streams: number;
  /** The native engine carries over it. */
  isBusy: boolean;
  forget: () => void;
  drain?: () => void;
};

export interface SessionPoolOptions {
  readonly clock: Clock;
  /** What the oldest gets when too many replaced sessions still carry streams. */
  readonly drainTimeoutMs: number;
  /** A session ended that was not ended here; it is in the pool no longer. */
  readonly onLost: (entry: PooledSession, reason: unknown) => void;
  /** A session fell silent, or spoke again. */
  readonly onSuspectChange: (entry: PooledSession) => void;
  /** A stream ended or a dial failed: there may be room, or nothing left to wait for. */
  readonly onRelease: (entry: PooledSession) => void;
  /** The native engine began to carry over the session, or carries nobody any more; the latter also when the session leaves the pool. */
  readonly onBusyChange: (busy: boolean) => void;
}

/** How many replaced sessions are kept for their streams (docs/promises.md, promise 5). */
const maxRetired = 4;

export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #entries = new Set<Entry>();
  readonly #closing = new Set<Promise<unknown>>();

  constructor(options: SessionPoolOptions) {
    this.#options = options;
  }

  /** Takes over a session that has not ended yet. */
  add(session: Session, role: Purpose, credentialsGeneration: number): PooledSession {
    const now = this.#options.clock.now();
    const { via, signal, carrier } = session;
    const unsubscribe = session.onSuspectChange(() => this.#options.onSuspectChange(entry));
    const unsubscribeBusy = carrier?.onBusyChange((busy) => this.#setBusy(entry, busy));
    const entry: Entry = {
      session,
      via,
      credentialsGeneration,
      openedAt: now,
      role,
      get carried() {
        return this.streams + (carrier?.channels ?? 0);
      },
      streams: 0,
      isBusy: false,
      lastUsedAt: now,
      proved: false,
      forget: () => {
        unsubscribe();
        unsubscribeBusy?.();
        listening[Symbol.dispose]();
      },
    };
    this.#entries.add(entry);
    const listening = onAbort(signal, (reason) => {
      if (this.#forget(entry)) this.#options.onLost(entry, reason);
    });
    return entry;
  }

  all(): readonly PooledSession[] {
    return [...this.#entries];
  }

  withRole(role: Role): readonly PooledSession[] {
    return this.all().filter((entry) => entry.role === role);
  }

  /** Live sessions that take new dials now, apart from their room. */
  usable(): readonly PooledSession[] {
    return this.withRole('live').filter(isResponsive);
  }

  /** Those that carry nothing and have no room: they took the one connection of their life (Session Manager with an old agent). */
  spent(): readonly PooledSession[] {
    return this.usable().filter((entry) => entry.carried === 0 && !entry.session.hasRoom);
  }

  /** The session for the next dial: the least loaded live one with room; without a live one, a trial. Those of `avoid` are left out. */
  pick(avoid: ReadonlySet<PooledSession>): PooledSession | undefined {
    return leastLoaded(this.usable(), avoid) ?? leastLoaded(this.withRole('trial').filter(isResponsive), avoid);
  }

  /** The session for a dial over exactly that route, whatever its role, if it can take one. */
  pickVia(via: string): PooledSession | undefined {
    return leastLoaded(this.upVia(via), new Set());
  }

  /** Whether the route could carry clients at this moment. */
  isUp(via: string): boolean {
    return this.upVia(via).length > 0;
  }

  /** Sessions over that route that could take dials, whatever their role, apart from their room. */
  upVia(via: string): readonly PooledSession[] {
    return this.all().filter((entry) => entry.via === via && entry.role !== 'retired' && isResponsive(entry));
  }

  /** The session of that carrier; undefined if it is lost or ended. */
  entryOf(carrier: NativeCarrier): PooledSession | undefined {
    return this.all().find(({ session }) => session.carrier === carrier);
  }

  /** A trial or a spare takes dials from now on. */
  promote(entry: PooledSession): void {
    mutable(entry).role = 'live';
  }

  /** Sessions of that generation lack nothing that those of the next one have. */
  carryOverGeneration(generation: number): void {
    for (const entry of this.#entries) {
      if (entry.credentialsGeneration === generation) entry.credentialsGeneration += 1;
    }
  }

  /** No new dials from now on; ended with its last stream, or after the drain timeout if too many are older than their successors. */
  retire(entry: PooledSession): void {
    const retired = mutable(entry);
    retired.role = 'retired';
    if (retired.carried === 0) {
      this.end(retired);
      return;
    }
    const kept = [...this.#entries].filter((other) => other.role === 'retired' && other.drain === undefined);
    for (const surplus of kept.slice(0, Math.max(0, kept.length - maxRetired))) {
      surplus.drain = this.#options.clock.after(this.#options.drainTimeoutMs, () => this.end(surplus));
    }
  }

  /** Ends the session and with it every stream. */
  end(entry: PooledSession): void {
    if (this.#forget(mutable(entry))) this.close(entry.session);
  }

  /** Closes a session, of this pool or not, and remembers that until it is done. */
  close(session: Session): void {
    const closing = session.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** Resolves when every session that was ended here is gone. */
  async closed(): Promise<void> {
    await Promise.allSettled(this.#closing);
  }

  carry(entry: PooledSession): void {
    const carrying = mutable(entry);
    carrying.streams += 1;
    carrying.lastUsedAt = this.#options.clock.now();
  }

  release(entry: PooledSession): void {
    mutable(entry).streams -= 1;
    this.#released(mutable(entry));
  }

  /** The session answered a dial. True the first time. */
  answered(entry: PooledSession): boolean {
    if (entry.proved) return false;
    mutable(entry).proved = true;
    return true;
  }

  #released(entry: Entry): void {
    entry.lastUsedAt = this.#options.clock.now();
    if (entry.role === 'retired' && entry.carried === 0) this.end(entry);
    this.#options.onRelease(entry);
  }

  #setBusy(entry: Entry, busy: boolean): void {
    if (entry.isBusy === busy) return;
    entry.isBusy = busy;
    this.#options.onBusyChange(busy);
    if (!busy) this.#released(entry);
  }

  #forget(entry: Entry): boolean {
    entry.forget();
    entry.drain?.();
    if (!this.#entries.delete(entry)) return false;
    if (entry.isBusy) this.#options.onBusyChange(false);
    entry.isBusy = false;
    return true;
  }
}

export function isResponsive(entry: PooledSession): boolean {
  return !entry.session.suspect && !entry.session.signal.aborted;
}

/** The sentence for a session that fell silent. */
export function whySuspect({ via, suspectBecause }: Session): TunnelError {
  const sentence = `${via} stopped answering and is tried again: if this lasts, check it and the network between`;
  return suspectBecause ?? new TunnelError('BastionTimeout', sentence);
}

/** Only the pool writes to an entry; to everyone else it is read-only. */
function mutable(entry: PooledSession): Entry {
  return entry as Entry;
}

function leastLoaded(entries: readonly PooledSession[], avoid: ReadonlySet<PooledSession>): PooledSession | undefined {
  let best: PooledSession | undefined;
  for (const entry of entries) {
    if (!entry.session.hasRoom || avoid.has(entry)) continue;
    if (best === undefined || entry.carried < best.carried) best = entry;
  }
  return best;
}
