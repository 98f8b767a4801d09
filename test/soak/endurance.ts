// `npm run endurance`: whether a sidecar stays what it was. A million connections and a tebibyte over ssh, in both directions, during which its
// memory must stay flat; then a hundred thousand clean ends for clients that read slowly, none of which may be reset or cut. Some hours;
// `--connections N`, `--gibibytes N` and `--ends N` take less, 0 leaves a part out. Never a test.
// Neighbours: ../bench has sidecar, destination and load; hand-overs.ts looks at descriptors, chaos.ts breaks sessions.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generateKey, startSshd } from '../../lab/private-network/sshd.ts';
import { digestOf, header } from '../bench/content.ts';
import { LoadGenerator } from '../bench/load-generator.ts';
import { inOwnNetwork, runInOwnNetwork } from '../bench/own-network.ts';
import { startOurs } from '../bench/peers.ts';
import { memory } from '../bench/process-cost.ts';
import { portOf, startScript } from '../bench/run.ts';
import { bundle, type Tunnel } from '../bench/sidecar.ts';
import { growthPerStep } from './flatness.ts';

const options = {
  connections: { type: 'string', default: '1000000' },
  gibibytes: { type: 'string', default: '1024' },
  ends: { type: 'string', default: '100000' },
} as const;
const { values } = parseArgs({ options });
const [connections, gibibytes, ends] = [values.connections, values.gibibytes, values.ends].map(Number) as [
  number,
  number,
  number,
];

/** Memory may grow by so much with each of these steps. */
const mostGrowthMiB = 1;
const connectionsOfStep = 100_000;
const gibibytesOfStep = 64;

if ([connections, gibibytes, ends].some((one) => !(one >= 0))) {
  console.error('npm run endurance -- [--connections N] [--gibibytes N] [--ends N]: numbers from 0 on');
  process.exitCode = 2;
} else if (!inOwnNetwork) process.exitCode = runInOwnNetwork(import.meta.url);
else process.exitCode = await endure();

/** The exit code: 0 if memory stayed flat and every end was whole. */
async function endure(): Promise<number> {
  const atEnd: (() => unknown)[] = [];
  try {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-endurance-'));
    atEnd.push(() => rmSync(directory, { recursive: true, force: true }));
    const program = await bundle(directory);
    const destination = startScript(new URL('../bench/destination.ts', import.meta.url));
    atEnd.push(async () => await destination.kill());
    const sshd = await startSshd({ openFiles: 4_096 });
    atEnd.push(async () => await sshd.stop());
    const key = await generateKey(directory, { name: 'user' });
    sshd.authorize([key.publicKey]);
    const destinationPort = await portOf(destination);
    const tunnel = await startOurs(program, { sshd, key, bastionPort: sshd.port, destinationPort, directory });
    atEnd.push(async () => await tunnel.stop());
    const load = new LoadGenerator();
    atEnd.push(() => load.stop());
    const faults = [
      ...(await manyConnections(load, tunnel)),
      ...(await manyBytes(load, tunnel)),
      ...(await manyEnds(tunnel)),
    ];
    for (const fault of faults) console.log(`FAULT: ${fault}`);
    console.log(`${faults.length} faults`);
    return faults.length === 0 ? 0 : 1;
  } finally {
    for (const end of atEnd.reverse()) await end();
  }
}

async function manyConnections(load: LoadGenerator, tunnel: Tunnel): Promise<string[]> {
  return await inSteps(tunnel, connections, connectionsOfStep, 'connections', async (count) => {
    // An order may take two minutes.
    for (let left = count; left > 0; left -= 10_000) {
      const part = Math.min(left, 10_000);
      await load.order({ what: 'connections', port: tunnel.port, count: part, parallel: 8 });
    }
  });
}

async function manyBytes(load: LoadGenerator, tunnel: Tunnel): Promise<string[]> {
  return await inSteps(tunnel, gibibytes, gibibytesOfStep, 'GiB', async (count) => {
    for (let done = 0; done < count; done += 1) {
      await load.order({
        what: 'transfer',
        port: tunnel.port,
        upload: done % 2 === 0,
        streams: 8,
        bytes: 2 ** 30 / 8,
      });
    }
  });
}

/** Does `all` in steps of `step`, and judges the memory after them. */
async function inSteps(
  { pid }: Tunnel,
  all: number,
  step: number,
  what: string,
  work: (count: number) => Promise<void>,
): Promise<string[]> {
  const after: number[] = [];
  for (let done = 0; done < all; ) {
    const count = Math.min(step, all - done);
    const began = performance.now();
    await work(count);
    done += count;
    const { rss } = memory(pid);
    const seconds = (performance.now() - began) / 1_000;
    console.log(`${done} ${what}, the last ${count} in ${seconds.toFixed(0)} s: RSS ${rss.toFixed(1)} MiB`);
    after.push(rss);
  }
  const grows = growthPerStep(after);
  return grows > mostGrowthMiB ? [`RSS grows by ${grows.toFixed(1)} MiB with each ${step} ${what}`] : [];
}

/** Clients that take an answer in pieces, with pauses, until its end. */
async function manyEnds({ port }: Tunnel): Promise<string[]> {
  const faults: string[] = [];
  const sizes = [1, 1_000, 70_000, 600_000, 3_000_000];
  const digests = new Map(sizes.map((size) => [size, digestOf(size)]));
  let left = ends;
  let done = 0;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const size = sizes[left % sizes.length] ?? 1;
      const fault = await readSlowly(port, size, digests.get(size) ?? Buffer.alloc(0));
      if (fault !== undefined) faults.push(`${size} bytes: ${fault}`);
      done += 1;
      if (done % 10_000 === 0 || done === ends) console.log(`${done} of ${ends} clean ends`);
    }
  };
  await Promise.all(Array.from({ length: 64 }, client));
  return faults;
}

/** What was wrong with the answer, or with its end; undefined if nothing was. */
async function readSlowly(port: number, size: number, digest: Buffer): Promise<string | undefined> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    // Half of them have said all that they will say, and the others end after the answer.
    const endsFirst = size % 2 === 0;
    if (endsFirst) socket.end(header('D', size));
    else socket.write(header('D', size));
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      await sleep(1);
    }
    if (!endsFirst) socket.end();
  } catch (error) {
    return `${String(error)} after ${bytes}`;
  } finally {
    socket.destroy();
  }
  return bytes === size && hash.digest().equals(digest) ? undefined : `${bytes} came, or others`;
}
