// How many client connections a pod carries, and which port may have how many: half of the maximum is divided into shares, one for each
// port, so that a busy port never shuts out the others. The rest is for whoever comes first.
// Neighbours: listener.ts asks before it serves a client, status.ts reports the ports that refuse, metrics.ts counts.
import type { Clock } from '../../process/clock.ts';

/** How many refused clients may be told the reason at the same time; more are reset, because each costs a socket and memory. */
const maxTold = 64;
/** A port that has room again refuses no longer once this long has passed without a refusal: clients come in waves. */
const calmMs = 10_000;

interface Port {
  open: number;
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
    this.#ports = new Map(forwards.map((name) => [name, { open: 0, refusal: undefined }]));
  }

  /** Open client connections of all ports. */
  get open(): number {
    return this.#sum(({ open }) => open);
  }

  /** Open client connections of that port. */
  openOf(forward: string): number {
    return this.#port(forward).open;
  }

  /** Counts one more connection of that port. False, and not counted, if the port may have no more. */
  admit(forward: string): boolean {
    const port = this.#port(forward);
    if (!this.#hasRoom(port)) {
      const lastAt = this.#clock.now();
      port.refusal = { since: this.#refusal(port)?.since ?? this.#clock.date(), lastAt };
      return false;
    }
    port.open += 1;
    return true;
  }

  /** An admitted connection has ended. */
  release(forward: string): void {
    this.#port(forward).open -= 1;
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

  #hasRoom(port: Port): boolean {
    const common = this.max - this.share * this.#ports.size;
    return port.open < this.share || this.#sum(({ open }) => Math.max(0, open - this.share)) < common;
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
