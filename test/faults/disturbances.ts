// What the monkey does to a tunnel on the cluster, with the longest gap that was measured for it on 2026-11-29 (docs/development/first-week.md).
// Neighbours: monkey.ts makes them in the order that a seed gives, open-tunnel.ts is what they disturb.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bastion } from '../../lab/private-network/network.ts';
import { generateKey } from '../../lab/private-network/sshd.ts';
import type { OpenTunnel } from './open-tunnel.ts';

export interface Disturbance {
  readonly what: string;
  /** The longest gap between two answered clients, before the tunnel was improved, in milliseconds. */
  readonly gapBeforeMs: number;
  /** Resolves when the world is whole again; the tunnel may still recover. */
  make(tunnel: OpenTunnel): Promise<void>;
}

const seconds = (count: number): number => 1_000 * count;

/** The bastion that the tunnel's pods use, or a of several. */
async function inUse({ shop, name, network }: OpenTunnel): Promise<Bastion> {
  const { a, b } = network.bastions;
  const via = (await shop.get(name)).status?.via ?? '';
  return via.includes(a.address) ? a : b;
}

async function during(bastions: readonly Bastion[], ms: number, begin: (bastion: Bastion) => Promise<unknown>) {
  try {
    await Promise.all(bastions.map(begin));
    await delay(ms);
  } finally {
    await Promise.all(bastions.map((bastion) => bastion.heal()));
  }
}

const dropped =
  (count: number): Disturbance['make'] =>
  async (world) =>
    during([await inUse(world)], seconds(count), (bastion) => bastion.blackHole());

const stopped =
  (count: number): Disturbance['make'] =>
  async (world) => {
    const bastion = await inUse(world);
    bastion.pause();
    try {
      await delay(seconds(count));
    } finally {
      bastion.resume();
    }
  };

async function deletePods(tunnel: OpenTunnel, count: number): Promise<void> {
  const { shop, name } = tunnel;
  const before = await shop.tunnelPods(name);
  await shop.kubectl(['delete', 'pod', ...before.slice(0, count).map(({ metadata }) => metadata.name)]);
  await allReady(tunnel);
}

/** Every pod that there is; a Deployment makes the successor of a deleted pod before that one is gone. */
async function allReady({ shop, name }: OpenTunnel): Promise<void> {
  const every = ['pod', '--selector', `portforward.dev/name=${name}`, '--timeout=60s'];
  await shop.kubectl(['wait', '--for=condition=Ready', ...every]);
}

/** Process 1 of the pod hears no signal of its own namespace, but the Node that it started does. */
const killNode = `for (const pid of require('fs').readdirSync('/proc')) {
  if (!/^\\d+$/.test(pid) || pid === '1' || Number(pid) === process.pid) continue;
  const words = require('fs').readFileSync('/proc/' + pid + '/cmdline', 'latin1');
  if (words.includes('sidecar')) process.kill(Number(pid), 'SIGKILL');
}`;

async function killSidecars(tunnel: OpenTunnel): Promise<void> {
  const { shop, name } = tunnel;
  await Promise.all(
    (await shop.tunnelPods(name)).map(async ({ metadata, status }) => {
      const restarts = (status.containerStatuses?.[0]?.restartCount ?? 0) + 1;
      await shop.kubectl(['exec', metadata.name, '-c', 'tunnel', '--', 'node', '-e', killNode]).catch(() => undefined);
      const again = `--for=jsonpath={.status.containerStatuses[0].restartCount}=${restarts}`;
      await shop.kubectl(['wait', again, `pod/${metadata.name}`, '--timeout=60s']);
    }),
  );
  await allReady(tunnel);
}

/** A new key, which both bastions take beside the old one; over when every pod has logged in with it. */
async function rotate(tunnel: OpenTunnel): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-monkey-'));
  try {
    const key = await generateKey(directory, { name: `key-${Date.now()}` });
    const { network } = tunnel;
    const bastions = Object.values(network.bastions);
    for (const bastion of bastions) bastion.authorize([network.key.publicKey, key.publicKey]);
    await tunnel.useKey(key.privateKey);
    const print = fingerprintOf(key.publicKey);
    const taken = (): boolean => bastions.some((bastion) => bastion.log().some((line) => line.includes(print)));
    // The kubelet projects a changed Secret within its sync period.
    for (const until = performance.now() + seconds(150); !taken(); await delay(500)) {
      if (performance.now() > until) throw new Error('no bastion has seen the new key');
    }
    await delay(seconds(3));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function fingerprintOf(publicKey: string): string {
  const body = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return createHash('sha256').update(body).digest('base64').replace(/=+$/, '');
}

/** In the order of the report. */
export const disturbances = {
  'sessions-killed': {
    what: 'every session on both bastions is killed',
    gapBeforeMs: 650,
    make: async ({ network }) => {
      for (const bastion of Object.values(network.bastions)) bastion.killSessions();
    },
  },
  'stopped-5s': { what: 'sshd of one bastion is stopped for 5 s', gapBeforeMs: 4_600, make: stopped(5) },
  'stopped-20s': { what: 'sshd of one bastion is stopped for 20 s', gapBeforeMs: 4_600, make: stopped(20) },
  'stopped-40s': { what: 'sshd of one bastion is stopped for 40 s', gapBeforeMs: 4_600, make: stopped(40) },
  'dropped-3s': { what: 'every packet of one bastion is dropped for 3 s', gapBeforeMs: 3_800, make: dropped(3) },
  'dropped-15s': { what: 'every packet of one bastion is dropped for 15 s', gapBeforeMs: 5_800, make: dropped(15) },
  'dropped-60s': { what: 'every packet of one bastion is dropped for 60 s', gapBeforeMs: 5_800, make: dropped(60) },
  'both-dropped-15s': {
    what: 'every packet of both bastions is dropped for 15 s',
    gapBeforeMs: 18_300,
    make: ({ network }) => during(Object.values(network.bastions), seconds(15), (bastion) => bastion.blackHole()),
  },
  'one-pod-deleted': { what: 'one pod is deleted', gapBeforeMs: 800, make: (tunnel) => deletePods(tunnel, 1) },
  'all-pods-deleted': { what: 'both pods are deleted', gapBeforeMs: 2_900, make: (tunnel) => deletePods(tunnel, 2) },
  'sidecars-killed': { what: 'both sidecars are killed with SIGKILL', gapBeforeMs: 3_400, make: killSidecars },
  'key-rotated': { what: 'the key is rotated to another good one', gapBeforeMs: 900, make: rotate },
} as const satisfies Record<string, Disturbance>;

export type DisturbanceName = keyof typeof disturbances;

/** Those that `npm test` makes; a run by hand makes all. */
export const short: readonly DisturbanceName[] = [
  'sessions-killed',
  'stopped-5s',
  'dropped-3s',
  'one-pod-deleted',
  'sidecars-killed',
];
