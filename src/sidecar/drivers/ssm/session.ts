// One node as a Session: a lane for each destination. It is suspect when no lane takes new streams, and over when every lane is: then the
// tunnel replaces the whole, perhaps through another node. A single broken lane among living ones is mended here.
// Neighbours: driver.ts opens it, lane.ts does the work.
import type { Duplex } from 'node:stream';
import { TunnelError } from '../../../contract/errors.ts';
import type { Destination, Session } from '../../driver.ts';
import type { Lane } from './lane.ts';

export class SsmSession implements Session {
  readonly via: string;
  readonly #lanes = new Map<string, Lane>();
  readonly #newLane: (destination: Destination) => Lane;
  readonly #over = new AbortController();
  readonly #listeners = new Set<() => void>();
  #suspect = false;
  #started = false;
  #judging = false;

  /** `newLane` gives a lane that is not started; its `onChange` calls `changed`. */
  constructor(via: string, newLane: (destination: Destination, changed: () => void) => Lane) {
    this.via = via;
    this.#newLane = (destination) => newLane(destination, () => this.#changed());
  }

  /** Opens the lanes. @throws TunnelError, or the signal's reason; nothing is left open then. */
  async start(destinations: readonly Destination[], signal: AbortSignal): Promise<void> {
    const starts = destinations.map(async (destination) => {
      const key = keyOf(destination);
      if (this.#lanes.has(key)) return;
      const lane = this.#newLane(destination);
      this.#lanes.set(key, lane);
      await lane.start(signal);
    });
    try {
      await Promise.all(starts);
    } catch (error) {
      await Promise.allSettled(starts);
      await this.close();
      throw error;
    }
    this.#started = true;
    this.#changed();
  }

  /** Resumes the first lane's session on a new socket, which proves that it may. @throws TunnelError if it may not. */
  async renewSocket(): Promise<void> {
    const [first] = this.#lanes.values();
    await first?.current?.renewSocket();
  }

  get facts(): Session['facts'] {
    const [first] = this.#lanes.values();
    const sessionId = first?.current?.sessionId;
    return sessionId === undefined ? {} : { sessionId };
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  get hasRoom(): boolean {
    return !this.#over.signal.aborted && [...this.#lanes.values()].some((lane) => lane.usable);
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
    const lane = this.#lanes.get(keyOf(destination));
    if (lane === undefined) throw new TunnelError('NotConnected', 'this session was not opened for that destination');
    return lane.dial(signal);
  }

  async close(): Promise<void> {
    this.#over.abort(new TunnelError('NotConnected', 'the session was closed'));
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()));
  }

  #changed(): void {
    // Mending a lane may call back at once.
    if (!this.#started || this.#judging || this.#over.signal.aborted) return;
    this.#judging = true;
    const lanes = [...this.#lanes.values()];
    if (lanes.every((lane) => lane.dead)) {
      const loss = lanes.find((lane) => lane.loss !== undefined)?.loss;
      this.#over.abort(loss ?? new TunnelError('BastionLost', `every session to ${this.via} was lost`));
      void this.close();
    } else {
      for (const lane of lanes) lane.mend(lanes.some((other) => other !== lane && other.usable));
      this.#judgeSuspect(!lanes.some((lane) => lane.usable));
    }
    this.#judging = false;
  }

  #judgeSuspect(suspect: boolean): void {
    if (suspect === this.#suspect) return;
    this.#suspect = suspect;
    for (const listener of this.#listeners) listener();
  }
}

function keyOf(destination: Destination): string {
  return 'socket' in destination ? destination.socket : `${destination.host}\0${destination.port}`;
}
