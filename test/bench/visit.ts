// One visit to one tunnel: what is sent and what is measured; and the round of visits in which peers take turns.
// Neighbours: measure.ts (ssh) and ssm-visits.ts choose the visits, load-generator.ts does the work, figures.ts says what figures mean.
import type { Figures, Who } from './figures.ts';
import type { LoadGenerator } from './load-generator.ts';
import { cpuSeconds } from './process-cost.ts';
import type { Results } from './report.ts';
import type { Tunnel } from './sidecar.ts';

export const mebibyte = 2 ** 20;

/** A visit that fills these cases. */
export interface Visit<N extends string> {
  readonly fills: readonly N[];
  readonly measure: (load: LoadGenerator, tunnel: Tunnel, who: Who) => Promise<Figures<N>>;
}

export interface Transfer {
  readonly upload: boolean;
  readonly streams: number;
  /** Of each stream; a number each where one peer is so much slower that the same bytes would be most of the run. */
  readonly bytes: number | Readonly<Record<Who, number>>;
}

/** A bulk transfer: its speed in MB/s and, where a case is named, what it cost in CPU seconds per GiB. */
export function transfer<N extends string>(speed: N, order: Transfer, cpu?: N): Visit<N> {
  return {
    fills: cpu === undefined ? [speed] : [speed, cpu],
    measure: async (load, { port, pid }, who) => {
      const { upload, streams } = order;
      const bytes = typeof order.bytes === 'number' ? order.bytes : order.bytes[who];
      const before = cpuSeconds(pid);
      const seconds = await load.order({ what: 'transfer', port, upload, streams, bytes });
      const used = cpuSeconds(pid) - before;
      const all = streams * bytes;
      const figures: Figures<N> = {};
      figures[speed] = all / seconds / 1e6;
      if (cpu !== undefined) figures[cpu] = used / (all / 2 ** 30);
      return figures;
    },
  };
}

/** The median time of that many one-byte echoes. */
export function roundTrip<N extends string>(name: N, count: number): Visit<N> {
  return one(name, async (load, { port }) => await load.order({ what: 'pings', port, count }));
}

/** Connections per second, 8 at a time, and, where a case is named, what one cost in CPU microseconds. */
export function connections<N extends string>(name: N, count: number, cpu?: N): Visit<N> {
  return {
    fills: cpu === undefined ? [name] : [name, cpu],
    measure: async (load, { port, pid }) => {
      const before = cpuSeconds(pid);
      const figures: Figures<N> = {};
      figures[name] = count / (await load.order({ what: 'connections', port, count, parallel: 8 }));
      if (cpu !== undefined) figures[cpu] = ((cpuSeconds(pid) - before) / count) * 1e6;
      return figures;
    },
  };
}

/** Number of sessions that carry the tunnel's streams. */
export function links<N extends string>(name: N): Visit<N> {
  return one(name, async (_load, tunnel) => await tunnel.links());
}

function one<N extends string>(name: N, figure: (load: LoadGenerator, tunnel: Tunnel) => Promise<number>): Visit<N> {
  return {
    fills: [name],
    measure: async (load, tunnel) => {
      const figures: Figures<N> = {};
      figures[name] = await figure(load, tunnel);
      return figures;
    },
  };
}

/** A tunnel that is visited. `rows`: the figures of its rows, if those are not the visit's own. */
export type Turn<N extends string> = readonly [
  who: Who,
  tunnel: Tunnel,
  rows?: (figures: Figures<N>) => readonly Figures<N>[],
];

/** Each visit of each round goes to every tunnel, and who is first changes with the round. */
export async function inTurn<N extends string>(
  results: Results<N>,
  load: LoadGenerator,
  tunnels: readonly Turn<N>[],
  visits: readonly Visit<N>[],
  { rounds, onRound }: { readonly rounds: number; readonly onRound: (round: number) => void },
): Promise<void> {
  for (let round = 1; round <= rounds; round += 1) {
    onRound(round);
    const order = round % 2 === 1 ? tunnels : tunnels.toReversed();
    for (const { measure } of visits) {
      for (const [who, tunnel, rows = itself] of order) {
        try {
          for (const figures of rows(await measure(load, tunnel, who))) results.add(who, figures);
        } catch (cause) {
          const said = tunnel.log?.() ?? [];
          throw new Error([`round ${round}, ${who}: ${String(cause)}`, ...said].join('\n'), { cause });
        }
      }
    }
  }
}

const itself = <N extends string>(figures: Figures<N>): readonly Figures<N>[] => [figures];
