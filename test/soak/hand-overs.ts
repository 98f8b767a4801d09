// `npm run hand-overs`: clients that the native engine gives up to JavaScript, a hundred thousand of them (`--count N` for another number), among
// as many that it carries; then SIGTERM in the middle of all. Each answer must be whole, and descriptors must neither leak nor be closed
// twice: the process and its epoll instances have as many at the end as before the first client. Never a test.
// Neighbours: chaos.ts kills sessions under bulk; the sidecar and the destination are those of the benchmarks.
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { eventually } from '../../lab/base/eventually.ts';
import { generateKey, startSshd } from '../../lab/private-network/sshd.ts';
import { freePort } from '../../lab/process/ports.ts';
import { header } from '../bench/content.ts';
import { inOwnNetwork, runInOwnNetwork } from '../bench/own-network.ts';
import { startOurs } from '../bench/peers.ts';
import { memory } from '../bench/process-cost.ts';
import { portOf, startScript } from '../bench/run.ts';
import { admin, bundle, type Tunnel } from '../bench/sidecar.ts';
import { Tally } from './tally.ts';

const atOnce = 50;
const greeting = 'hello';

const { values } = parseArgs({ options: { count: { type: 'string', default: '100000' } } });
const count = Number(values.count);
if (!(count >= 100)) {
  console.error('npm run hand-overs -- --count N: at least 100');
  process.exitCode = 2;
} else if (!inOwnNetwork) process.exitCode = runInOwnNetwork(import.meta.url);
else process.exitCode = await handOvers();

/** The exit code: 0 if every answer was whole and nothing is left. */
async function handOvers(): Promise<number> {
  const ends: (() => unknown)[] = [];
  try {
    const directory = mkdtempSync(join(tmpdir(), 'portforward-hand-overs-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const program = await bundle(directory);
    const destination = startScript(new URL('../bench/destination.ts', import.meta.url));
    ends.push(async () => await destination.kill());
    const sshd = await startSshd({ openFiles: 4_096 });
    ends.push(async () => await sshd.stop());
    const key = await generateKey(directory, { name: 'user' });
    sshd.authorize([key.publicKey]);
    const [destinationPort, refusedPort] = [await portOf(destination), await freePort()];
    const way = { sshd, key, bastionPort: sshd.port, destinationPort, directory };
    // Nobody listens at its destination.
    const closed = { destination: { host: '127.0.0.1', port: await freePort() }, listenPort: refusedPort };
    const tunnel = await startOurs(program, way, {
      further: [{ name: 'closed', port: 80, appProtocol: 'http', ...closed }],
    });
    ends.push(async () => await tunnel.stop());
    return await load(tunnel, refusedPort);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Descriptors of the process, and how many of them its epoll instances watch. */
interface Held {
  readonly descriptors: number;
  readonly watched: number;
}

function heldBy(pid: number): Held {
  const all = readdirSync(`/proc/${pid}/fd`);
  const polls = all.filter((fd) => targetOf(pid, fd).includes('eventpoll'));
  const watched = polls.flatMap((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').match(/^tfd:/gm) ?? []);
  return { descriptors: all.length, watched: watched.length };
}

function targetOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    // Closed since it was listed.
    return '';
  }
}

async function load(tunnel: Tunnel, refusedPort: number): Promise<number> {
  const tally = new Tally();
  const { pid } = tunnel;
  await eventually('both sessions are open', async () => (await tunnel.links()) === 2);
  await visit(tunnel.port, false, tally);
  await visit(refusedPort, true, tally);
  await eventually('nothing is open', async () => await isIdle());
  const before = heldBy(pid);
  const rssBefore = memory(pid).rss;
  let most = 0;
  let left = count * 2;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await (left % 2 === 0 ? visit(refusedPort, true, tally) : visit(tunnel.port, false, tally));
      if (left % 1_000 === 0) most = Math.max(most, heldBy(pid).descriptors);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  await eventually('nothing is open', async () => await isIdle());
  // Node takes closed descriptors out of its instance with the next turn that has something to wait for.
  await eventually('as many descriptors as before', () => sameAs(before, heldBy(pid)));
  const rss = memory(pid).rss;
  console.log(
    `${before.descriptors} descriptors, ${before.watched} watched, before and after; at most ${most} meanwhile; RSS ${rssBefore.toFixed(1)} → ${rss.toFixed(1)} MiB`,
  );
  await terminate(tunnel, refusedPort, tally);
  tally.print();
  return tally.faults === 0 ? 0 : 1;
}

function sameAs(before: Held, now: Held): boolean {
  return now.descriptors <= before.descriptors && now.watched <= before.watched;
}

async function isIdle(): Promise<boolean> {
  return /^portforward_tunnel_open_connections 0$/m.test((await admin('/metrics'))?.body ?? '');
}

/** SIGTERM while clients come: each is carried, told, or finds the port closed. */
async function terminate(tunnel: Tunnel, refusedPort: number, tally: Tally): Promise<void> {
  let isOver = false;
  const client = async (index: number): Promise<void> => {
    while (!isOver) await visit(index % 2 === 0 ? refusedPort : tunnel.port, index % 2 === 0, tally, true);
  };
  const clients = Array.from({ length: atOnce }, (_, index) => client(index));
  process.kill(tunnel.pid, 'SIGTERM');
  await eventually('the process has ended', () => !isAlive(tunnel.pid), 60_000);
  isOver = true;
  await Promise.all(clients);
}

function isAlive(pid: number): boolean {
  try {
    // A zombie has ended, too.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** One client. `refused`: it is told that the destination refuses. `ending`: it may find the port closed, or be reset. */
async function visit(port: number, refused: boolean, tally: Tally, ending = false): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  let answer = '';
  let error: NodeJS.ErrnoException | undefined;
  socket.setTimeout(30_000, () => {
    tally.add('hangs', true);
    socket.destroy();
  });
  socket.on('error', (failure) => (error = failure));
  socket.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')));
  socket.once('end', () => socket.end());
  socket.write(refused ? 'GET / HTTP/1.1\r\nhost: x\r\n\r\n' : header('E'));
  if (!refused) socket.end(greeting);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  if (error !== undefined) tally.add(`${refused ? 'refused' : 'echo'}: ${error.code}`, !ending);
  else if (refused) {
    const isTold = answer.startsWith('HTTP/1.1 503') && answer.includes('DestinationRefused)');
    tally.add(isTold ? 'told that the destination refuses' : `told: ${answer.slice(0, 200)}`, !isTold && !ending);
  } else tally.add(answer === greeting ? 'echo whole' : `echo: ${answer.length} bytes`, answer !== greeting);
}
