// What the benchmark measures of an ssh tunnel, and of `ssh -L`. Neighbours: bench.ts makes these visits, visit.ts says what each kind is.
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadGenerator } from './load-generator.ts';
import { memory } from './process-cost.ts';
import type { Tunnel } from './sidecar.ts';
import type { SshCase } from './ssh-cases.ts';
import { connections, links, mebibyte, roundTrip, transfer, type Visit } from './visit.ts';

const bulk = (upload: boolean, streams: 1 | 8): Visit<SshCase> => {
  const name = `${upload ? 'upload' : 'download'}-${streams}` as const;
  return transfer(name, { upload, streams, bytes: (256 * mebibyte) / streams }, `cpu-${name}`);
};
const distant = { upload: false, streams: 1, bytes: 96 * mebibyte };

/** Visits to tunnels that stay up, by the round trip that a proxy adds before sshd; 0: no proxy. */
export const visits: ReadonlyMap<number, readonly Visit<SshCase>[]> = new Map([
  [
    0,
    [
      bulk(false, 1),
      bulk(true, 1),
      bulk(false, 8),
      bulk(true, 8),
      roundTrip('round-trip', 2_000),
      connections('connections', 1_500, 'cpu-connections'),
      links('links'),
    ],
  ],
  [1, [roundTrip('round-trip-1ms', 300)]],
  [20, [transfer('download-1-20ms', distant)]],
  [50, [transfer('download-1-50ms', distant)]],
]);

/** How long a tunnel is left alone before its memory is read. */
const settleMs = 1_000;
/** The same with stalled clients: the kernel's buffers of each take their last bytes in steps. */
const stalledMs = 10_000;

/** The visit to a tunnel that was started for it. */
export const fresh: Visit<SshCase> = {
  fills: ['start', 'rss-connected', 'rss-1000', 'rss-1000-stalled', 'round-trip-stalled', 'pss-connected', 'pss-1000'],
  measure: async (load, tunnel, who) => {
    const { pid, port } = tunnel;
    await delay(settleMs);
    const connected = memory(pid);
    await load.order({ what: 'hold', port, count: 1_000 });
    await delay(settleMs);
    const full = memory(pid);
    await load.order({ what: 'release' });
    const figures = {
      start: tunnel.startMs,
      'rss-connected': connected.rss,
      'rss-1000': full.rss,
      'pss-connected': connected.pss,
      'pss-1000': full.pss,
    };
    // Behind `ssh -L` a thousand stalled clients fill sshd with gigabytes, and another one's echo had not come after two minutes.
    if (who === 'theirs') return figures;
    // Until then the pod carries all connections that it may.
    await delay(settleMs);
    await load.order({ what: 'stall', port, count: 1_000 });
    await delay(stalledMs);
    const stalled = memory(pid);
    const roundTripMs = await load.order({ what: 'pings', port, count: 200 });
    await load.order({ what: 'release' });
    return { ...figures, 'rss-1000-stalled': stalled.rss, 'round-trip-stalled': roundTripMs };
  },
};

/** Not counted: both peers' code and windows are warm before the first round. */
export async function warmUp(load: LoadGenerator, { port }: Tunnel): Promise<void> {
  for (const upload of [false, true]) {
    await load.order({ what: 'transfer', port, upload, streams: 2, bytes: 16 * mebibyte });
  }
}
