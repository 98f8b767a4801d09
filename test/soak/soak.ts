// `npm run soak`: one sidecar with two bastions, one of which is killed every 20 s and comes back 3 s later, under clients that never rest.
// Memory, open files, streams and sessions must stay flat, every byte must be right, and no break may look like an end. One hour;
// `--minutes N` for less. Never a test of `npm test`.
// The walk: soak.ts → load.ts (clients) → flatness.ts (the verdict); the sidecar and the destination are those of the benchmarks.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { eventually } from '../../lab/base/eventually.ts';
import { generateKey, type Sshd, startSshd } from '../../lab/private-network/sshd.ts';
import { inOwnNetwork, runInOwnNetwork } from '../bench/own-network.ts';
import { memory } from '../bench/process-cost.ts';
import { portOf, startScript } from '../bench/run.ts';
import { admin, bundle, configOf, startSidecar, type Tunnel } from '../bench/sidecar.ts';
import { sshConfig } from '../support/ssh-config.ts';
import { growth, median, type Sample } from './flatness.ts';
import { type Counts, Load } from './load.ts';

const killEveryMs = 20_000;
const downMs = 3_000;

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } });
const minutes = Number(values.minutes);
if (!(minutes >= 2)) {
  console.error('npm run soak -- --minutes N: at least 2, because growth is judged over six kills');
  process.exitCode = 2;
} else if (!inOwnNetwork) process.exitCode = runInOwnNetwork(import.meta.url);
else process.exitCode = await soak();

/** The exit code: 0 if everything stayed flat and right. */
async function soak(): Promise<number> {
  const ends: (() => unknown)[] = [];
  try {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-soak-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const program = await bundle(directory);
    const destination = startScript(new URL('../bench/destination.ts', import.meta.url));
    ends.push(async () => await destination.kill());
    const bastions = [await startSshd({ openFiles: 4_096 }), await startSshd({ openFiles: 4_096 })] as const;
    for (const bastion of bastions) ends.push(async () => await bastion.stop());
    const tunnel = await openTunnel(program, directory, bastions, await portOf(destination));
    ends.push(async () => await tunnel.stop());
    return await killAndWatch(tunnel, bastions);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

async function openTunnel(
  program: string,
  directory: string,
  bastions: readonly [Sshd, Sshd],
  destinationPort: number,
): Promise<Tunnel> {
  const key = await generateKey(directory, { name: 'ssh-privatekey' });
  for (const bastion of bastions) bastion.authorize([key.publicKey]);
  writeFileSync(join(directory, 'known_hosts'), bastions.map((bastion) => bastion.knownHosts()).join(''));
  const hops = bastions.map(({ host, port, user }) => ({
    host,
    port,
    user,
    credentials: { secretName: 'soak', directory },
  }));
  return await startSidecar(program, (port) => ({
    ...configOf(port, destinationPort),
    driver: 'ssh',
    ssh: sshConfig(hops),
  }));
}

/** Bytes counted for a session over which nobody is carried: the native engine keeps some for each. */
async function bytesOfSession(): Promise<number> {
  let metrics = '';
  await eventually('both sessions are open', async () => {
    metrics = (await admin('/metrics'))?.body ?? '';
    return gauge(metrics, 'sessions{part="live"}') === 2;
  });
  const native = gauge(metrics, 'native_sessions');
  return native === 0 ? 0 : gauge(metrics, 'buffered_bytes') / native;
}

async function killAndWatch(tunnel: Tunnel, bastions: readonly [Sshd, Sshd]): Promise<number> {
  const idle = await bytesOfSession();
  const load = new Load(tunnel.port, { steady: 20, downloaders: 2, downloadBytes: 4 * 2 ** 20 });
  const samples: Sample[] = [];
  const over = performance.now() + minutes * 60_000;
  for (let kills = 0; performance.now() < over; kills += 1) {
    const bastion = bastions[kills % 2] ?? bastions[0];
    await bastion.kill();
    await delay(downMs);
    await bastion.start();
    await delay(killEveryMs - downMs);
    const sample = await sampleOf(tunnel);
    samples.push(sample);
    if (kills % 3 === 2)
      console.log(`${((kills + 1) / 3).toFixed(0)} min: ${textOf(sample)}; ${countsOf(load.counts)}`);
  }
  await load.stop();
  await eventually('every stream, connection and byte is given back', async () => {
    const metrics = (await admin('/metrics'))?.body ?? '';
    const isOver = ['streams', 'open_connections'].every((name) => gauge(metrics, name) === 0);
    return isOver && gauge(metrics, 'buffered_bytes') === idle * gauge(metrics, 'native_sessions');
  });
  const atRest = await sampleOf(tunnel);
  const { truncated, wrong } = load.counts;
  const faults = growth(samples);
  if (truncated > 0) faults.push(`${truncated} connections were cut off and looked finished`);
  if (wrong > 0) faults.push(`${wrong} answers had wrong bytes`);
  const middle = (name: keyof Sample): string => median(samples, name).toFixed(1);
  console.log(`\n${samples.length} kills in ${minutes} minutes; ${countsOf(load.counts)}`);
  console.log(`median: RSS ${middle('rss')} MiB, ${middle('files')} files, ${middle('streams')} streams`);
  console.log(
    `at rest: ${textOf(atRest)}; load average ${loadavg()
      .map((one) => one.toFixed(1))
      .join(' ')}`,
  );
  console.log(faults.length === 0 ? 'flat' : `NOT FLAT: ${faults.join('; ')}`);
  return faults.length === 0 ? 0 : 1;
}

async function sampleOf({ pid }: Tunnel): Promise<Sample> {
  const metrics = (await admin('/metrics'))?.body ?? '';
  return {
    rss: memory(pid).rss,
    files: readdirSync(`/proc/${pid}/fd`).length,
    streams: gauge(metrics, 'streams'),
    sessions: ['live', 'trial', 'spare', 'retired', 'suspect'].reduce(
      (sum, part) => sum + gauge(metrics, `sessions{part="${part}"}`),
      0,
    ),
  };
}

function gauge(metrics: string, name: string): number {
  const line = metrics.split('\n').find((text) => text.startsWith(`portforward_tunnel_${name} `));
  return Number(line?.split(' ')[1] ?? Number.NaN);
}

function textOf({ rss, files, streams, sessions }: Sample): string {
  return `RSS ${rss.toFixed(1)} MiB, ${files} files, ${streams} streams, ${sessions} sessions`;
}

function countsOf({ echoes, connections, downloads, lost, truncated, wrong }: Counts): string {
  const carried = `${echoes} echoes, ${connections} short connections, ${downloads} downloads of 4 MiB`;
  return `${carried}; ${lost} reset, ${truncated} truncated, ${wrong} wrong`;
}
