// What the benchmark measures of a tunnel to fly.io, and of the plain client. Neighbours: fly.ts makes these visits, visit.ts says what each
// kind is.
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import type { Figures } from './figures.ts';
import type { FlyCase } from './fly-cases.ts';
import type { LoadGenerator } from './load-generator.ts';
import { memory } from './process-cost.ts';
import { admin, type Tunnel } from './sidecar.ts';
import { connections, mebibyte, roundTrip, transfer, type Visit } from './visit.ts';

const bulk = (upload: boolean, streams: 1 | 8): Visit<FlyCase> => {
  const name = `${upload ? 'upload' : 'download'}-${streams}` as const;
  return transfer(name, { upload, streams, bytes: (64 * mebibyte) / streams }, `cpu-${name}`);
};

/** Visits to tunnels that stay up. */
export const visits: readonly Visit<FlyCase>[] = [
  bulk(false, 1),
  bulk(true, 1),
  bulk(false, 8),
  bulk(true, 8),
  roundTrip('round-trip', 500),
  connections('connections', 480),
];

/** Not counted: code and windows of both are warm before the first round. */
export async function warmUp(load: LoadGenerator, { port }: Tunnel): Promise<void> {
  for (const upload of [false, true]) {
    await load.order({ what: 'transfer', port, upload, streams: 1, bytes: 8 * mebibyte });
  }
}

export const memoryCases: readonly FlyCase[] = ['rss-connected', 'rss-1000', 'rss-1000-stalled'];

/** How long connections are left alone before memory is read; the buffers of stalled ones fill meanwhile. */
const settleMs = 5_000;

/** Memory of a fresh tunnel: alone, with 1,000 connections, and with 1,000 whose clients read nothing of a download. */
export async function memories(load: LoadGenerator, { pid, port }: Tunnel, idleMs: number): Promise<Figures<FlyCase>> {
  await delay(idleMs);
  const figures: Figures<FlyCase> = { 'rss-connected': memory(pid).rss };
  await load.order({ what: 'hold', port, count: 1_000 });
  await delay(settleMs);
  figures['rss-1000'] = memory(pid).rss;
  await load.order({ what: 'release' });
  // Until then the pod carries all connections that it may.
  const none = async (): Promise<boolean> => /_open_connections 0$/m.test((await admin('/metrics'))?.body ?? '');
  await eventually('the connections are closed', none);
  await load.order({ what: 'stall', port, count: 1_000 });
  await delay(settleMs);
  figures['rss-1000-stalled'] = memory(pid).rss;
  await load.order({ what: 'release' });
  return figures;
}
