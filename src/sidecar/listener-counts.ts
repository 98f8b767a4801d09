// What happened to the clients of each port: counted in JavaScript for those that it carries, in the cells of the native engine for the others.
// Neighbours: metrics.ts shows the sums, clients/listener.ts and clients/native-clients.ts count.
import { dialBuckets, listenerCells } from './base/native-engine.ts';
import type { Traffic } from './clients/bridge.ts';
import type { ListenerObserver, ResetCause } from './clients/listener.ts';

interface Port {
  accepted: number;
  readonly traffic: Traffic;
  readonly resets: Map<ResetCause, number>;
  cells: Float64Array | undefined;
}

/** Which cell counts resets by that cause. The engine gives up clients before they are refused, so that it has no others. */
const cellOf: Partial<Record<ResetCause, number>> = {
  session: listenerCells.resetBySession,
  destination: listenerCells.resetByDestination,
  drain: listenerCells.resetByDrain,
};

export class ListenerCounts implements ListenerObserver {
  readonly #ports = new Map<string, Port>();

  accepted(forward: string): void {
    this.#port(forward).accepted += 1;
  }

  traffic(forward: string): Traffic {
    return this.#port(forward).traffic;
  }

  reset(forward: string, cause: ResetCause): void {
    const { resets } = this.#port(forward);
    resets.set(cause, (resets.get(cause) ?? 0) + 1);
  }

  /** Where the engine counts the clients of that port. */
  cellsOf(forward: string): Float64Array {
    return (this.#port(forward).cells ??= new Float64Array(listenerCells.length));
  }

  /** The cells of all ports that the engine has. */
  get cells(): readonly Float64Array[] {
    return [...this.#ports.values()].flatMap(({ cells }) => cells ?? []);
  }

  *connections(): Iterable<[string, number]> {
    for (const [name, { accepted, cells }] of this.#ports)
      yield [name, accepted + (cells?.[listenerCells.carried] ?? 0)];
  }

  *bytes(): Iterable<[string, Traffic]> {
    for (const [name, { traffic, cells }] of this.#ports) {
      const toDestination = traffic.toDestination + (cells?.[listenerCells.toDestination] ?? 0);
      const toClient = traffic.toClient + (cells?.[listenerCells.toClient] ?? 0);
      yield [name, { toDestination, toClient }];
    }
  }

  *resets(): Iterable<[string, ResetCause, number]> {
    for (const [name, { resets, cells }] of this.#ports) {
      for (const cause of ['limit', 'dial', 'session', 'destination', 'drain'] as const) {
        const count = (resets.get(cause) ?? 0) + (cells?.[cellOf[cause] ?? -1] ?? 0);
        if (count > 0) yield [name, cause, count];
      }
    }
  }

  #port(forward: string): Port {
    let port = this.#ports.get(forward);
    if (port === undefined) {
      port = { accepted: 0, traffic: { toDestination: 0, toClient: 0 }, resets: new Map(), cells: undefined };
      this.#ports.set(forward, port);
    }
    return port;
  }
}

/** How long dials took: those of JavaScript, one by one. */
export class DialTimes {
  readonly #counts: number[] = Array.from({ length: dialBuckets.length + 1 }, () => 0);
  #sum = 0;

  add(seconds: number): void {
    const bucket = dialBuckets.findIndex((bound) => seconds <= bound);
    const index = bucket === -1 ? dialBuckets.length : bucket;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** Together with those that the engine counted. */
  with(ports: readonly Float64Array[]): { readonly counts: readonly number[]; readonly sum: number } {
    const native = (cell: number): number => ports.reduce((sum, cells) => sum + (cells[cell] ?? 0), 0);
    return {
      counts: this.#counts.map((count, index) => count + native(listenerCells.dialBuckets + index)),
      sum: this.#sum + native(listenerCells.dialSecondsSum),
    };
  }
}
