// One node as a Session: a lane for each destination. It is suspect when no lane hears its agent: then the tunnel replaces the whole, perhaps
// through another node. It is over when every lane is, and none has an earlier session that still carries streams. A single broken lane
// among living ones is mended here, and so is one whose agent hangs in connecting to its destination.
// Neighbours: driver.ts opens it, renewing-channel.ts does the work.
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../../contract/errors.ts';
import { abortable } from '../../../process/abort.ts';
import { type Clock, sleep } from '../../../process/clock.ts';
import type { Destination, Session } from '../../base/driver.ts';
import type { Lane } from './renewing-channel.ts';

/** How long the lanes that are up wait for those that are not. */
const stragglersMs = 10_000;

export class SsmSession implements Session {
  readonly via: string;
  readonly #clock: Clock;
  readonly #lanes = new Map<string, Lane>();
  readonly #starting = new Map<string, Promise<Lane>>();
  readonly #newLane: (destination: Destination) => Lane;
  readonly #over = new AbortController();
  readonly #listeners = new Set<() => void>();
  /** The one that stands for the others in status. */
  #first: Lane | undefined;
  #suspect = false;
  #started = false;
  #judging = false;

  /** `newLane` gives a lane that is not started; its `onChange` calls `changed`. */
  constructor(via: string, clock: Clock, newLane: (destination: Destination, changed: () => void) => Lane) {
    this.via = via;
    this.#clock = clock;
    this.#newLane = (destination) => newLane(destination, () => this.#changed());
  }

  /**
   * Opens the lanes. Resolves when each is up or has failed, but at the latest 10 s after the first is up: the others follow, and one
   * that failed is tried again, because its siblings need not wait for it. @throws TunnelError if none came up, or the signal's reason;
   * nothing is left open then.
   */
  async start(destinations: readonly Destination[], signal: AbortSignal): Promise<void> {
    const starts = destinations.map((destination) => this.#addLane(destination, signal));
    const settled = Promise.allSettled(starts);
    const waiting = new AbortController();
    const late = Promise.any(starts).then(() => sleep(stragglersMs, { signal: waiting.signal, clock: this.#clock }));
    await Promise.race([settled, late.catch(() => settled)]);
    waiting.abort();
    const up = [...this.#lanes.values()].find((lane) => !lane.dead);
    if (up === undefined || signal.aborted) {
      await settled;
      await this.close();
      signal.throwIfAborted();
      await Promise.all(starts);
      throw new TunnelError('BastionLost', `the session to ${this.via} was lost as soon as it was open`);
    }
    this.#first = this.#lanes.get(keyOf(destinations[0] ?? { host: '', port: 0 })) ?? up;
    if (this.#first.dead) this.#first = up;
    this.#started = true;
    this.#changed();
  }

  /** Resumes the first lane's session on a new socket, which proves that it may. @throws TunnelError if it may not. */
  async renewSocket(): Promise<void> {
    await this.#first?.current?.renewSocket();
  }

  get facts(): Session['facts'] {
    const sessionId = this.#first?.current?.sessionId;
    return sessionId === undefined ? {} : { sessionId };
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  get suspectBecause(): TunnelError | undefined {
    const lanes = [...this.#lanes.values()];
    return lanes.every((lane) => lane.dead) ? lossOf(lanes) : undefined;
  }

  get hasRoom(): boolean {
    const lanes = [...this.#lanes.values()];
    return !this.#over.signal.aborted && (lanes.length === 0 || lanes.some(canDial));
  }

  get streams(): number {
    let streams = 0;
    for (const lane of this.#lanes.values()) streams += lane.streams;
    return streams;
  }

  onSuspectChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves before the destination has answered: the protocol tells only refusals, which fail the stream before its first byte. */
  async dial(destination: Destination, { signal }: { readonly signal: AbortSignal }): Promise<Duplex> {
    this.#over.signal.throwIfAborted();
    const lane = this.#lanes.get(keyOf(destination)) ?? (await this.#addLane(destination, signal));
    return lane.dial(signal);
  }

  async close(): Promise<void> {
    this.#over.abort(new TunnelError('NotConnected', 'the session was closed'));
    await Promise.allSettled(this.#starting.values());
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()));
  }

  /** The lane to a destination, started by whoever asks first. */
  async #addLane(destination: Destination, signal: AbortSignal): Promise<Lane> {
    const key = keyOf(destination);
    const starting = this.#starting.get(key);
    if (starting !== undefined) return abortable(starting, { signal });
    const lane = this.#newLane(destination);
    const start = (async () => {
      try {
        await lane.start(AbortSignal.any([signal, this.#over.signal]));
        this.#over.signal.throwIfAborted();
        return lane;
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      } finally {
        this.#starting.delete(key);
        // One that failed stays, to be mended.
        if (signal.aborted || this.#over.signal.aborted) await lane.close();
        else this.#lanes.set(key, lane);
        this.#changed();
      }
    })();
    this.#starting.set(key, start);
    return start;
  }

  #changed(): void {
    // Mending a lane may call back at once.
    if (!this.#started || this.#judging || this.#over.signal.aborted) return;
    this.#judging = true;
    const lanes = [...this.#lanes.values()];
    if (lanes.length > 0 && this.#starting.size === 0 && lanes.every((lane) => lane.dead && lane.streams === 0)) {
      this.#over.abort(lossOf(lanes) ?? new TunnelError('BastionLost', `every session to ${this.via} was lost`));
      void this.close();
    } else {
      for (const lane of lanes) lane.mend(lanes.some((other) => other !== lane && other.usable));
      this.#judgeSuspect(lanes.length > 0 && !lanes.some((lane) => lane.heard || lane.stuck));
    }
    this.#judging = false;
  }

  #judgeSuspect(suspect: boolean): void {
    if (suspect === this.#suspect) return;
    this.#suspect = suspect;
    for (const listener of this.#listeners) listener();
  }
}

/** A lane whose agent hangs in connecting says nothing against the node: it is mended while clients are told. */
const canDial = (lane: Lane): boolean => lane.usable || lane.stuck;

const lossOf = (lanes: readonly Lane[]): TunnelError | undefined => lanes.find((lane) => lane.loss !== undefined)?.loss;

function keyOf(destination: Destination): string {
  return 'socket' in destination ? destination.socket : `${destination.host}\0${destination.port}`;
}
