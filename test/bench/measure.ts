// One visit to one tunnel: what is asked of it and what is read off. Visits to the two peers alternate.
// Neighbours: bench.ts calls these, load-generator.ts does the work, figures.ts says what the figures mean.
import { setTimeout as delay } from 'node:timers/promises';
import type { CaseName, Figures } from './figures.ts';
import type { LoadGenerator } from './load-generator.ts';
import type { Tunnel } from './peers.ts';
import { cpuSeconds, memory } from './process-cost.ts';

const mebibyte = 2 ** 20;

/** A visit that fills these cases. */
export interface Visit {
  readonly fills: readonly CaseName[];
  readonly measure: (load: LoadGenerator, tunnel: Tunnel) => Promise<Figures>;
}

function transfer(upload: boolean, streams: 1 | 8): Visit {
  const name = `${upload ? 'upload' : 'download'}-${streams}` as const;
  const bytes = (256 * mebibyte) / streams;
  return {
    fills: [name, `cpu-${name}`],
    measure: async (load, tunnel) => {
      const before = cpuSeconds(tunnel.pid);
      const seconds = await load.order({ what: 'transfer', port: tunnel.port, upload, streams, bytes });
      const used = cpuSeconds(tunnel.pid) - before;
      return { [name]: (streams * bytes) / seconds / 1e6, [`cpu-${name}`]: used / ((streams * bytes) / 2 ** 30) };
    },
  };
}

function download(name: CaseName, bytes: number): Visit {
  return {
    fills: [name],
    measure: async (load, { port }) => {
      const seconds = await load.order({ what: 'transfer', port, upload: false, streams: 1, bytes });
      return { [name]: bytes / seconds / 1e6 };
    },
  };
}

function roundTrip(name: CaseName, count: number): Visit {
  return {
    fills: [name],
    measure: async (load, { port }) => ({ [name]: await load.order({ what: 'pings', port, count }) }),
  };
}

const connections: Visit = {
  fills: ['connections'],
  measure: async (load, { port }) => {
    const count = 1_500;
    return { connections: count / (await load.order({ what: 'connections', port, count, parallel: 8 })) };
  },
};

const links: Visit = {
  fills: ['links'],
  measure: async (_load, tunnel) => ({ links: await tunnel.links() }),
};

/** Visits to tunnels that stay up, by the round trip that a proxy adds before sshd; 0: no proxy. */
export const visits: ReadonlyMap<number, readonly Visit[]> = new Map([
  [
    0,
    [
      transfer(false, 1),
      transfer(true, 1),
      transfer(false, 8),
      transfer(true, 8),
      roundTrip('round-trip', 2_000),
      connections,
      links,
    ],
  ],
  [1, [roundTrip('round-trip-1ms', 300)]],
  [20, [download('download-1-20ms', 96 * mebibyte)]],
  [50, [download('download-1-50ms', 96 * mebibyte)]],
]);

/** How long a tunnel is left alone before its memory is read. */
const settleMs = 1_000;

/** The visit to a tunnel that was started for it. */
export const fresh: Visit = {
  fills: ['start', 'rss-connected', 'rss-1000', 'pss-connected', 'pss-1000'],
  measure: async (load, tunnel) => {
    await delay(settleMs);
    const connected = memory(tunnel.pid);
    await load.order({ what: 'hold', port: tunnel.port, count: 1_000 });
    await delay(settleMs);
    const full = memory(tunnel.pid);
    await load.order({ what: 'release' });
    return {
      start: tunnel.startMs,
      'rss-connected': connected.rss,
      'rss-1000': full.rss,
      'pss-connected': connected.pss,
      'pss-1000': full.pss,
    };
  },
};

/** Not counted: both peers' code and windows are warm before the first round. */
export async function warmUp(load: LoadGenerator, { port }: Tunnel): Promise<void> {
  for (const upload of [false, true]) {
    await load.order({ what: 'transfer', port, upload, streams: 2, bytes: 16 * mebibyte });
  }
}
