// How many client connections a pod carries, and which port may have how many: half of the maximum is divided into shares, one for each
// port, so that a busy port never shuts out the others. The rest is for whoever comes first.
//
// Whoever takes clients of a port without asking for each gets places in advance: its share, and more in blocks. Places that are not taken
// go back before a client is refused, so that the maximum is as exact as with a question for each client.
// Neighbours: listener.ts asks before it serves a client, native-clients.ts has places, status.ts reports the ports that refuse.
import type { Clock } from '../../process/clock.ts';

/** How many refused clients may be told the reason at the same time; more are reset, because each costs a socket and memory. */
const maxTold = 64;
/** A port that has room again refuses no longer once this long has passed without a refusal: clients come in waves. */
const calmMs = 10_000;
/** Places beyond its share that a port gets at once. */
const blockOfPlaces = 16;

/** Takes clients of one port by itself. Nothing of it changes between two calls in one turn of the event loop. */
export interface PlaceHolder {
  /** Those that it has taken and that are there still. */
  readonly open: number;
  /** It takes nobody more while it has so many. Never fewer than are open. */
  setPlaces(places: number): void;
}

interface Port {
  /** Admitted here, one by one. */
  own: number;
  holder: PlaceHolder | undefined;
  /** Own connections and places of the holder, taken or not; the share at least. All ports together have the maximum at most. */
  allotted: number;
  /** The first refusal of the time in which it refuses, and the last one. */
  refusal: { readonly since: Date; lastAt: number } | undefined;
}

export class ConnectionShares {
  readonly max: number;
  /** What each port may always have. */
  readonly share: number;
  readonly #clock: Clock;
  readonly #ports: ReadonlyMap<string, Port>;
  #told = 0;

  constructor(max: number, forwards: readonly string[], clock: Clock) {
    this.max = max;
    this.share = Math.floor(max / (2 * forwards.length));
    this.#clock = clock;
    const empty = { own: 0, holder: undefined, allotted: this.share, refusal: undefined };
    this.#ports = new Map(forwards.map((name) => [name, { ...empty }]));
  }

  /** Open client connections of all ports. */
  get open(): number {
    return this.#sum(openOn);
  }

  /** Open client connections of that port. */
  openOf(forward: string): number {
    return openOn(this.#port(forward));
  }

  /** That one takes clients of the port from now on, beside `admit`. */
  addHolder(forward: string, holder: PlaceHolder): void {
    const port = this.#port(forward);
    port.holder = holder;
    holder.setPlaces(port.allotted - port.own);
  }

  /** Counts one more connection of that port. False, and not counted, if the port may have no more. */
  admit(forward: string): boolean {
    const port = this.#port(forward);
    if (openOn(port) >= port.allotted && !this.#allot(port)) {
      const lastAt = this.#clock.now();
      port.refusal = { since: this.#refusal(port)?.since ?? this.#clock.date(), lastAt };
      return false;
    }
    port.own += 1;
    port.holder?.setPlaces(port.allotted - port.own);
    return true;
  }

  /** An admitted connection has ended. */
  release(forward: string): void {
    const port = this.#port(forward);
    port.own -= 1;
    if (port.holder === undefined) port.allotted = Math.max(this.share, port.own);
    else port.holder.setPlaces(port.allotted - port.own);
  }

  /** Since when that port has refused clients; undefined while it does not. */
  refusingSince(forward: string): Date | undefined {
    return this.#refusal(this.#port(forward))?.since;
  }

  /** Runs `tell` unless 64 clients are being told already. False if it did not run. */
  async tell(tell: () => Promise<void>): Promise<boolean> {
    if (this.#told >= maxTold) return false;
    this.#told += 1;
    try {
      await tell();
    } finally {
      this.#told -= 1;
    }
    return true;
  }

  /** What is nobody's share. */
  get #common(): number {
    return this.max - this.share * this.#ports.size;
  }

  #hasRoom(port: Port): boolean {
    return openOn(port) < this.share || this.#sum((each) => Math.max(0, openOn(each) - this.share)) < this.#common;
  }

  /** More for that port than it has, from what is nobody's. False if all of it is in use. */
  #allot(port: Port): boolean {
    let left = this.#left();
    if (left <= 0) {
      for (const other of this.#ports.values()) this.#takeBack(other);
      left = this.#left();
    }
    if (left <= 0) return false;
    port.allotted += port.holder === undefined ? 1 : Math.min(blockOfPlaces, left);
    return true;
  }

  #left(): number {
    return this.#common - this.#sum(({ allotted }) => allotted - this.share);
  }

  /** Places beyond the share that nobody has taken. */
  #takeBack(port: Port): void {
    port.allotted = Math.max(this.share, openOn(port));
    port.holder?.setPlaces(port.allotted - port.own);
  }

  #refusal(port: Port): Port['refusal'] {
    const { refusal } = port;
    if (refusal === undefined) return undefined;
    const isOver = this.#hasRoom(port) && this.#clock.now() - refusal.lastAt >= calmMs;
    return isOver ? undefined : refusal;
  }

  #sum(of: (port: Port) => number): number {
    let sum = 0;
    for (const port of this.#ports.values()) sum += of(port);
    return sum;
  }

  #port(forward: string): Port {
    const port = this.#ports.get(forward);
    if (port === undefined) throw new TypeError(`there is no forward ${forward}`);
    return port;
  }
}

function openOn({ own, holder }: Port): number {
  return own + (holder?.open ?? 0);
}
