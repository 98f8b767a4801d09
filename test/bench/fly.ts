// `npm run bench:fly`: the tunnel to fly.io beside a plain client on the same upstream engine (wireguard-go and gVisor's TCP), both at one gateway
// and one destination, visited in turn in every round. Never a test: figures depend on the machine and on who else uses it.
// The walk: fly.ts → run.ts (what all benchmarks do) → fly-peers.ts (who is compared) → fly-visits.ts (what is asked) → visit.ts → report.ts.
import type { Who } from './figures.ts';
import { cases, type FlyCase } from './fly-cases.ts';
import { buildPrograms, type FlyWay, startOurs, startPlain, startWorld } from './fly-peers.ts';
import { memories, memoryCases, visits, warmUp } from './fly-visits.ts';
import { type Run, run } from './run.ts';
import type { Tunnel } from './sidecar.ts';
import { inTurn } from './visit.ts';

await run({
  name: 'bench:fly',
  script: import.meta.url,
  cases,
  peer: 'plain client on the same engine',
  options: {
    idle: { usage: 'SECONDS how long tunnels are left alone before their memory is read (300)', default: '300' },
    'memory-rounds': { usage: 'N    tunnels whose memory is read (3)', default: '3' },
  },
  prepare: buildPrograms,
  measure,
});

async function measure(run: Run<FlyCase>): Promise<{ readonly sure: string; readonly versions: string }> {
  const { destinationPort, directory, load, program, results, rounds, say } = run;
  const world = await startWorld();
  run.atEnd(async () => await world[Symbol.asyncDispose]());
  const way: FlyWay = { world, destinationPort, directory };
  const wanted = visits.filter(({ fills }) => fills.some(run.wants));
  if (wanted.length > 0) {
    const tunnels: [who: Who, tunnel: Tunnel][] = [];
    try {
      tunnels.push(['ours', await startOurs(program, way)]);
      tunnels.push(['theirs', await startPlain(way)]);
      for (const [, tunnel] of tunnels) await warmUp(load, tunnel);
      const onRound = (round: number): void => say(`round ${round} of ${rounds}`);
      await inTurn(results, load, tunnels, wanted, { rounds, onRound });
    } finally {
      for (const [, tunnel] of tunnels) await tunnel.stop();
    }
  }
  if (memoryCases.some(run.wants)) await visitMemory(run, way);
  return {
    sure: 'both over UDP to one gateway',
    versions: 'wireguard-go and gVisor as test/bench/fly-client/go.mod pins them',
  };
}

/** Each round with a tunnel that was started for it. */
async function visitMemory(run: Run<FlyCase>, way: FlyWay): Promise<void> {
  const rounds = run.option('memory-rounds');
  for (let round = 1; round <= rounds; round += 1) {
    run.say(`memory: round ${round} of ${rounds}`);
    const tunnel = await startOurs(run.program, way);
    try {
      run.results.add('ours', await memories(run.load, tunnel, run.option('idle') * 1_000));
    } finally {
      await tunnel.stop();
    }
  }
}
