// What the benchmark measures of a Session Manager tunnel, and of AWS's plugin. Neighbours: ssm.ts makes these visits, visit.ts says what
// each kind is.
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadGenerator } from './load-generator.ts';
import { memory } from './process-cost.ts';
import type { Tunnel } from './sidecar.ts';
import type { SsmCase } from './ssm-cases.ts';
import { connections, links, mebibyte, roundTrip, transfer, type Visit } from './visit.ts';

/** About the same time for both: the plugin is much slower. */
const upload = { upload: true, streams: 1, bytes: { ours: 48 * mebibyte, theirs: 3 * mebibyte } };
/** Of one stream. The agent sends less than a megabyte a second. */
const downloadBytes = 2 * mebibyte;

/** Visits to tunnels that stay up, by the round trip that the service adds; each with one session. */
export const visits: ReadonlyMap<number, readonly Visit<SsmCase>[]> = new Map([
  [
    0,
    [
      transfer('upload', upload, 'cpu-upload'),
      transfer('download', { upload: false, streams: 1, bytes: downloadBytes }, 'cpu-download'),
      roundTrip('round-trip', 300),
      connections('connections', 240),
      links('links'),
    ],
  ],
  [80, [transfer('upload-80ms', upload), roundTrip('round-trip-80ms', 30)]],
]);

const several = [
  [2, 'download-2', undefined],
  [4, 'download-4', undefined],
  [8, 'download-8', 'cpu-download-8'],
] as const;

/** How many sessions the tunnel of `manySessions` has. */
export const mostSessions = 8;

/** One tunnel against itself: several streams on as many sessions, and one on one. Figures of the two, in this order. */
export const manySessions: readonly {
  readonly fills: readonly SsmCase[];
  readonly streams: number;
  readonly visit: Visit<SsmCase>;
  readonly alone: Visit<SsmCase>;
}[] = several.map(([streams, name, cpu]) => ({
  fills: cpu === undefined ? [name] : [name, cpu],
  streams,
  visit: transfer<SsmCase>(name, { upload: false, streams, bytes: downloadBytes }, cpu),
  alone: transfer<SsmCase>(name, { upload: false, streams: 1, bytes: downloadBytes }, cpu),
}));

/** Not counted: both peers' code and windows are warm before the first round. */
export async function warmUp(load: LoadGenerator, { port }: Tunnel): Promise<void> {
  for (const upload of [false, true]) {
    await load.order({ what: 'transfer', port, upload, streams: 1, bytes: mebibyte });
  }
}

const settleMs = 1_000;

export const memoryCases: readonly SsmCase[] = ['rss-connected', 'rss-1000'];

/** Memory of each peer after the idle time, and with 1,000 connections. */
export async function memories(
  load: LoadGenerator,
  tunnels: readonly Tunnel[],
  idleMs: number,
): Promise<readonly { readonly 'rss-connected': number; readonly 'rss-1000': number }[]> {
  await delay(idleMs);
  const figures = [];
  for (const { pid, port } of tunnels) {
    const connected = memory(pid).rss;
    await load.order({ what: 'hold', port, count: 1_000 });
    await delay(settleMs);
    figures.push({ 'rss-connected': connected, 'rss-1000': memory(pid).rss });
    await load.order({ what: 'release' });
  }
  return figures;
}
