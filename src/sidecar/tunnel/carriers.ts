// Over which sessions the native engine carries the clients of a forward, and when it must give up a dial on a silent one
// (docs/promises.md, promise 4): the client is dialled for in JavaScript then, over that session and another one.
// Neighbours: tunnel.ts owns it, session-pool.ts has the sessions, clients/native-clients.ts tells the engine.
import type { Forward } from '../../contract/tunnel-config.ts';
import type { Clock } from '../../process/clock.ts';
import type { NativeCarrier } from '../base/carrier.ts';
import type { PooledSession, SessionPool } from './session-pool.ts';
import { Silence, stepMs } from './silence-watch.ts';

/** What listeners know of the sessions. */
export interface CarrierSource {
  /** Those that take new clients of that forward now. None: each client is dialled for in JavaScript, which waits, wakes and explains. */
  of(forward: Forward): readonly NativeCarrier[];
  /** Calls back after every change of what `of` returns, and at other times; returns the unsubscribe. */
  onChange(listener: () => void): () => void;
  /** Calls back if dials wait on a session that is silent; returns the unsubscribe. */
  onSilent(listener: (carrier: NativeCarrier) => void): () => void;
}

export interface CarriersOptions {
  readonly pool: SessionPool;
  readonly clock: Clock;
  /** The bastion over which the forward is dialled first, if any. It may be noticed up to a minute late that this has ended. */
  readonly preferredVia: (forward: Forward) => string | undefined;
  readonly onChange: CarrierSource['onChange'];
  /** Called every half second while the engine carries: the end of one of its clients is no event, and may give another one room. */
  readonly onLook: () => void;
}

export class Carriers implements CarrierSource {
  readonly onChange: CarrierSource['onChange'];
  readonly #options: CarriersOptions;
  readonly #silences = new Map<PooledSession, Silence>();
  readonly #listeners = new Set<(carrier: NativeCarrier) => void>();
  /** Sessions over which the engine carries somebody. */
  #busy = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(options: CarriersOptions) {
    this.#options = options;
    this.onChange = options.onChange;
  }

  of(forward: Forward): readonly NativeCarrier[] {
    const { pool, preferredVia } = this.#options;
    const via = preferredVia(forward);
    const preferred = via === undefined ? [] : pool.upVia(via);
    const entries = preferred.length > 0 ? preferred : pool.usable();
    return entries.flatMap(({ session }) => session.carrier ?? []);
  }

  onSilent(listener: (carrier: NativeCarrier) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A session of the pool became busy, or is busy no more. */
  busyChanged(busy: boolean): void {
    this.#busy += busy ? 1 : -1;
    if (this.#busy > 0) this.#cancelTimer ??= this.#options.clock.after(stepMs, () => this.#look());
    else this.close();
  }

  /** Ends its timer. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#silences.clear();
  }

  #look(): void {
    const { pool, clock } = this.#options;
    const entries = pool.all();
    this.#cancelTimer = clock.after(stepMs, () => this.#look());
    const ask = (): void => {
      // The others are asked as well: only an answer shows that one of them lives.
      for (const { session } of pool.usable()) session.askForLife?.();
    };
    for (const entry of this.#silences.keys()) if (!entries.includes(entry)) this.#silences.delete(entry);
    for (const entry of entries) {
      const { carrier } = entry.session;
      if (carrier === undefined || carrier.opening === 0) {
        this.#silences.delete(entry);
        continue;
      }
      const silence = this.#silences.get(entry) ?? new Silence();
      this.#silences.set(entry, silence);
      if (silence.judge(entry.session, clock.now(), ask) === undefined) continue;
      for (const listener of this.#listeners) listener(carrier);
    }
    this.#options.onLook();
  }
}
