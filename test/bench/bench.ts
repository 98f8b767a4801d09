// `npm run bench`: the ssh tunnel beside `ssh -L`, both to one sshd and one destination, visited in turn in every round. Never a test:
// figures depend on the machine and on who else uses it.
// The walk: bench.ts → peers.ts (who is compared) → measure.ts (what is asked) → load.ts and destination.ts (bytes) → report.ts.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release as kernel, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from '../cluster/child.ts';
import { generateKey, startSshd } from '../private-network/sshd.ts';
import { type CaseName, caseNames } from './figures.ts';
import { LoadGenerator } from './load-generator.ts';
import { fresh, type Visit, visits, warmUp } from './measure.ts';
import { bundle, cipher, requireCipher, startSidecar, startSsh, type Tunnel, type Way } from './peers.ts';
import { Results, table } from './report.ts';

const usage = `npm run bench -- [options]
  --rounds N     interleaved rounds (9, the fewest that count)
  --case NAME    only this case; may be repeated. One of: ${caseNames.join(', ')}
  --json         print an array of {case, peer, unit, better, ours, theirs, ratio} and nothing else`;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    case: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const unknown = options.case.filter((name) => !(caseNames as string[]).includes(name));
const insideVariable = 'PF_BENCH_INSIDE';

if (options.help || unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.error(unknown.length > 0 ? `no such case: ${unknown.join(', ')}\n${usage}` : usage);
  process.exitCode = options.help ? 0 : 2;
} else if (process.env[insideVariable] === undefined) {
  // A network of its own: the sidecar's admin port has one number, and nobody else's connections count.
  const script = 'ip link set lo up && exec "$@"';
  const self = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const inside = ['--net', 'setpriv', '--pdeathsig', 'KILL', '--', 'sh', '-c', script, 'sh', ...self];
  const ended = spawnSync('unshare', inside, { stdio: 'inherit', env: { ...process.env, [insideVariable]: '1' } });
  process.exitCode = ended.status ?? 1;
} else {
  await bench();
}

function wants(name: CaseName): boolean {
  return options.case.length === 0 || options.case.includes(name);
}

function say(line: string): void {
  if (!options.json) console.error(line);
}

async function bench(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-bench-'));
  const ends: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  try {
    const loadBefore = loadavg();
    const program = await bundle(directory);
    const destination = startScript(new URL('destination.ts', import.meta.url));
    ends.push(async () => await destination.kill());
    // The only cipher, and each key exchange in the log; a file for each channel.
    const config = [`Ciphers ${cipher}`, 'LogVerbose kex.c:*:*', 'LogLevel INFO'];
    const sshd = await startSshd({ config, openFiles: 4_096 });
    ends.push(async () => await sshd.stop());
    const key = await generateKey(directory, { name: 'user' });
    sshd.authorize([key.publicKey]);
    const load = new LoadGenerator();
    ends.push(() => load.stop());
    const way: Way = { sshd, key, bastionPort: sshd.port, destinationPort: await portOf(destination), directory };
    const results = new Results();

    for (const [addedMs, all] of visits) {
      const wanted = all.filter(({ fills }) => fills.some(wants));
      if (wanted.length > 0) await visitStanding(results, load, program, way, addedMs, wanted);
    }
    if (fresh.fills.some(wants)) await visitFresh(results, load, program, way);

    // Each connection of either peer is in this log, with both its directions.
    requireCipher('sshd', sshd.log(), 4);
    const rows = results.rows(wants, 'ssh -L');
    if (options.json) {
      console.log(JSON.stringify(rows));
      return;
    }
    console.log(table(rows));
    const version = spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr.trim();
    const text = (load: readonly number[]): string => load.map((one) => one.toFixed(1)).join(' ');
    console.log(`\n${rounds} rounds; ${cipher} in every key exchange; incompressible data, SHA-256 at the sink.`);
    console.log(
      `${cpus().length} × ${cpus()[0]?.model}, Linux ${kernel()}, Node ${process.versions.node}, ${version}.`,
    );
    console.log(
      `Load average before ${text(loadBefore)}, after ${text(loadavg())}: other work on the machine widens the spread.`,
    );
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Both tunnels stay up; each visit of each round goes to both, and who is first changes with the round. */
async function visitStanding(
  results: Results,
  load: LoadGenerator,
  program: string,
  way: Way,
  addedMs: number,
  wanted: readonly Visit[],
): Promise<void> {
  const proxy =
    addedMs === 0 ? undefined : startScript(new URL('delay-proxy.ts', import.meta.url), way.sshd.port, addedMs);
  const tunnels: [who: 'ours' | 'theirs', tunnel: Tunnel][] = [];
  try {
    const through = proxy === undefined ? way : { ...way, bastionPort: await portOf(proxy) };
    tunnels.push(['ours', await startSidecar(program, through)]);
    tunnels.push(['theirs', await startSsh(through)]);
    for (const [, tunnel] of tunnels) await warmUp(load, tunnel);
    for (let round = 0; round < rounds; round += 1) {
      say(`added round trip ${addedMs} ms: round ${round + 1} of ${rounds}`);
      for (const { measure } of wanted) {
        for (const [who, tunnel] of tunnels) results.add(who, await measure(load, tunnel));
      }
      tunnels.reverse();
    }
  } finally {
    for (const [, tunnel] of tunnels) await tunnel.stop();
    await proxy?.kill();
  }
}

/** Each visit goes to a tunnel that was started for it. */
async function visitFresh(results: Results, load: LoadGenerator, program: string, way: Way): Promise<void> {
  const peers: [who: 'ours' | 'theirs', start: () => Promise<Tunnel>][] = [
    ['ours', async () => await startSidecar(program, way)],
    ['theirs', async () => await startSsh(way)],
  ];
  for (let round = 0; round < rounds; round += 1) {
    say(`fresh starts: round ${round + 1} of ${rounds}`);
    for (const [who, start] of peers) {
      const tunnel = await start();
      try {
        results.add(who, await fresh.measure(load, tunnel));
      } finally {
        await tunnel.stop();
      }
    }
    peers.reverse();
  }
}

function startScript(script: URL, ...args: number[]): Child {
  const file = fileURLToPath(script);
  return new Child(basename(file), process.execPath, [file, ...args.map(String)]);
}

async function portOf(script: Child): Promise<number> {
  return Number((await script.line(/^listening \d+$/)).split(' ')[1]);
}
