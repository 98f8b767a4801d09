// `npm run chaos`: one ssh tunnel under 40 clients that transfer, stop reading and leave as they like, while all its sessions are killed every
// 6 s and keys are exchanged every 16 MiB. What ends must be whole, and nothing may hang. Ten minutes; `--seconds N` for less; `--sanitized` with
// the native engine under AddressSanitizer and UBSan, which end the sidecar at their first report. Never a test.
// The walk: chaos.ts → chaos-client.ts; the sidecar and the destination are those of the benchmarks.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { eventually } from '../../lab/base/eventually.ts';
import { generateKey, type Sshd, startSshd } from '../../lab/private-network/sshd.ts';
import { inOwnNetwork, runInOwnNetwork } from '../bench/own-network.ts';
import { startOurs } from '../bench/peers.ts';
import { memory } from '../bench/process-cost.ts';
import { portOf, startScript } from '../bench/run.ts';
import { admin, bundle, type Tunnel } from '../bench/sidecar.ts';
import { sanitizedNode } from '../fuzz/native/sanitized-addon.ts';
import { visit } from './chaos-client.ts';

const clients = 40;
const killEveryMs = 6_000;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '600' }, sanitized: { type: 'boolean', default: false } },
});
const seconds = Number(values.seconds);
if (!(seconds >= 1)) {
  console.error('npm run chaos -- [--sanitized] [--seconds N]: at least 1');
  process.exitCode = 2;
} else if (!inOwnNetwork) process.exitCode = runInOwnNetwork(import.meta.url);
else process.exitCode = await chaos();

/** The exit code: 0 if everything that ended was whole, nothing hung, and all is given back. */
async function chaos(): Promise<number> {
  const ends: (() => unknown)[] = [];
  try {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-chaos-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const program = await bundle(directory);
    if (values.sanitized) await sanitize();
    const destination = startScript(new URL('../bench/destination.ts', import.meta.url));
    ends.push(async () => await destination.kill());
    const sshd = await startSshd({ config: ['RekeyLimit 16M'], openFiles: 4_096 });
    ends.push(async () => await sshd.stop());
    const key = await generateKey(directory, { name: 'user' });
    sshd.authorize([key.publicKey]);
    const destinationPort = await portOf(destination);
    const tunnel = await startOurs(program, { sshd, key, bastionPort: sshd.port, destinationPort, directory });
    ends.push(async () => await tunnel.stop());
    return await disturb(tunnel, sshd);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Every Node that is started from now on has the sanitizer, and the sanitized engine. */
async function sanitize(): Promise<void> {
  const { program, environment } = await sanitizedNode();
  Object.assign(process.env, environment);
  process.execPath = program;
}

/** Bytes counted while both sessions are open and nobody is connected: the native engine keeps some for each. */
async function idleBytes(tunnel: Tunnel): Promise<number> {
  await eventually('both sessions are open', async () => (await tunnel.links()) === 2);
  return Number(/^portforward_tunnel_buffered_bytes (\d+)$/m.exec((await admin('/metrics'))?.body ?? '')?.[1]);
}

async function disturb(tunnel: Tunnel, sshd: Sshd): Promise<number> {
  const idle = await idleBytes(tunnel);
  const counts = new Map<string, number>();
  let faults = 0;
  const tally = (what: string, isFault = false): void => {
    counts.set(what, (counts.get(what) ?? 0) + 1);
    if (!isFault) return;
    faults += 1;
    console.log(`FAULT: ${what}`);
  };
  const over = performance.now() + seconds * 1_000;
  const killer = setInterval(() => {
    tally('sessions killed');
    sshd.killSessions();
  }, killEveryMs);
  const client = async (): Promise<void> => {
    while (performance.now() < over) await visit(tunnel.port, tally);
  };
  await Promise.all(Array.from({ length: clients }, client));
  clearInterval(killer);
  await eventually('every stream, connection and byte is given back', async () => {
    const metrics = (await admin('/metrics'))?.body ?? '';
    const isOver = ['streams', 'open_connections'].every((name) =>
      new RegExp(`^portforward_tunnel_${name} 0$`, 'm').test(metrics),
    );
    return isOver && (await idleBytes(tunnel)) === idle;
  });
  for (const [what, count] of [...counts].toSorted(([one], [other]) => one.localeCompare(other)))
    console.log(`${String(count).padStart(8)}  ${what}`);
  console.log(`${seconds} s, RSS ${memory(tunnel.pid).rss.toFixed(1)} MiB at the end, ${faults} faults`);
  return faults === 0 ? 0 : 1;
}
