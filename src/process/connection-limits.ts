// Which connections of an admin port may stay. Everybody who reaches the port may open some, so a new one is always let in and an older
// one pays for it: first of the address that has too many, then of the address that has most. The kubelet, which asks once and leaves,
// keeps its place whoever else is there.
// Neighbour: probe-server.ts (the port).
import type { Socket } from 'node:net';
import { type Clock, systemClock } from './clock.ts';

export interface ConnectionLimits {
  /** Connections that may stay. */
  readonly total: number;
  /** Connections of one address that may stay. */
  readonly perAddress: number;
  /** After a new connection, in milliseconds: time to answer a request that came with it before anything is closed. */
  readonly graceMs: number;
}

interface Held {
  readonly socket: Socket;
  readonly address: string;
  /** Requests that are being answered. */
  busy: number;
  /** When it last changed, counted in events: enough to order them. */
  touched: number;
}

export class ConnectionKeeper {
  readonly #limits: ConnectionLimits;
  readonly #clock: Clock;
  readonly #held = new Map<Socket, Held>();
  readonly #perAddress = new Map<string, Set<Held>>();
  #events = 0;
  #cancelTrim: (() => void) | undefined;

  constructor(limits: ConnectionLimits, clock: Clock = systemClock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Takes a new connection in; it is let go when it closes. */
  add(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const held: Held = { socket, address, busy: 0, touched: this.#events++ };
    this.#held.set(socket, held);
    let siblings = this.#perAddress.get(address);
    if (siblings === undefined) this.#perAddress.set(address, (siblings = new Set()));
    siblings.add(held);
    socket.once('close', () => this.#remove(held));
    const { total, perAddress, graceMs } = this.#limits;
    if (this.#held.size > total || siblings.size > perAddress) {
      this.#cancelTrim ??= this.#clock.after(graceMs, () => this.#trim());
    }
  }

  /** Marks a request as being answered, until the returned function is called. */
  busy(socket: Socket): () => void {
    const held = this.#held.get(socket);
    if (held === undefined) return () => undefined;
    held.busy += 1;
    return () => {
      held.busy -= 1;
      held.touched = this.#events++;
    };
  }

  /** Ends the timer, if any. */
  [Symbol.dispose](): void {
    this.#cancelTrim?.();
  }

  #trim(): void {
    this.#cancelTrim = undefined;
    const { total, perAddress } = this.#limits;
    for (const siblings of this.#perAddress.values()) this.#end(siblings, siblings.size - perAddress);
    // Level by level, so that no address with few connections pays for one with many.
    while (this.#held.size > total) {
      const sizes = [...this.#perAddress.values()].toSorted((a, b) => b.size - a.size);
      const most = sizes[0]?.size ?? 0;
      const next = sizes.find(({ size }) => size < most)?.size ?? 0;
      for (const siblings of sizes.filter(({ size }) => size === most)) {
        this.#end(siblings, Math.min(most - next, this.#held.size - total));
      }
    }
  }

  /** Ends `count` connections of one address: those that wait for nothing first, the oldest first. */
  #end(siblings: ReadonlySet<Held>, count: number): void {
    if (count <= 0) return;
    const order = [...siblings].toSorted((a, b) => Math.sign(a.busy) - Math.sign(b.busy) || a.touched - b.touched);
    for (const held of order.slice(0, count)) {
      this.#remove(held);
      held.socket.destroy();
    }
  }

  #remove(held: Held): void {
    this.#held.delete(held.socket);
    const siblings = this.#perAddress.get(held.address);
    siblings?.delete(held);
    if (siblings?.size === 0) this.#perAddress.delete(held.address);
  }
}
