// `npm run bench`: the ssh tunnel beside `ssh -L`, both to one sshd and one destination, visited in turn in every round. Never a test:
// figures depend on the machine and on who else uses it.
// The walk: bench.ts → run.ts (what all benchmarks do) → peers.ts (who is compared) → measure.ts (what is asked) → visit.ts → load.ts and
// destination.ts (bytes) → report.ts.
import { spawnSync } from 'node:child_process';
import { generateKey, startSshd } from '../../lab/private-network/sshd.ts';
import type { Who } from './figures.ts';
import { fresh, visits, warmUp } from './measure.ts';
import { cipher, requireCipher, startOurs, startSsh, type Way } from './peers.ts';
import { portOf, type Run, run, startScript } from './run.ts';
import type { Tunnel } from './sidecar.ts';
import { cases, type SshCase } from './ssh-cases.ts';
import { inTurn, type Visit } from './visit.ts';

await run({ name: 'bench', script: import.meta.url, cases, peer: 'ssh -L', measure });

async function measure(run: Run<SshCase>): Promise<{ readonly sure: string; readonly versions: string }> {
  const { directory, destinationPort } = run;
  // Only one cipher, each key exchange logged, and enough open files for a channel per connection.
  const config = [`Ciphers ${cipher}`, 'LogVerbose kex.c:*:*', 'LogLevel INFO'];
  const sshd = await startSshd({ config, openFiles: 4_096 });
  run.atEnd(async () => await sshd.stop());
  const key = await generateKey(directory, { name: 'user' });
  sshd.authorize([key.publicKey]);
  const way: Way = { sshd, key, bastionPort: sshd.port, destinationPort, directory };
  for (const [addedMs, all] of visits) {
    const wanted = all.filter(({ fills }) => fills.some(run.wants));
    if (wanted.length > 0) await visitStanding(run, way, addedMs, wanted);
  }
  if (fresh.fills.some(run.wants)) await visitFresh(run, way);
  // This log has each connection of both peers, with both its directions.
  requireCipher('sshd', sshd.log(), 4);
  const versions = spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr.trim();
  return { sure: `${cipher} in every key exchange`, versions };
}

/** Both tunnels stay up. */
async function visitStanding(
  { load, program, results, rounds, say }: Run<SshCase>,
  way: Way,
  addedMs: number,
  wanted: readonly Visit<SshCase>[],
): Promise<void> {
  const proxy =
    addedMs === 0 ? undefined : startScript(new URL('delay-proxy.ts', import.meta.url), way.sshd.port, addedMs);
  const tunnels: [who: Who, tunnel: Tunnel][] = [];
  try {
    const through = proxy === undefined ? way : { ...way, bastionPort: await portOf(proxy) };
    tunnels.push(['ours', await startOurs(program, through)]);
    tunnels.push(['theirs', await startSsh(through)]);
    for (const [, tunnel] of tunnels) await warmUp(load, tunnel);
    const onRound = (round: number): void => say(`added round trip ${addedMs} ms: round ${round} of ${rounds}`);
    await inTurn(results, load, tunnels, wanted, { rounds, onRound });
  } finally {
    for (const [, tunnel] of tunnels) await tunnel.stop();
    await proxy?.kill();
  }
}

/** Each visit uses a tunnel that was started for it. */
async function visitFresh({ load, program, results, rounds, say }: Run<SshCase>, way: Way): Promise<void> {
  const peers: [who: Who, start: () => Promise<Tunnel>][] = [
    ['ours', async () => await startOurs(program, way)],
    ['theirs', async () => await startSsh(way)],
  ];
  for (let round = 0; round < rounds; round += 1) {
    say(`fresh starts: round ${round + 1} of ${rounds}`);
    for (const [who, start] of peers) {
      const tunnel = await start();
      try {
        results.add(who, await fresh.measure(load, tunnel, who));
      } finally {
        await tunnel.stop();
      }
    }
    peers.reverse();
  }
}
