// `npm run bench:ssm`: the Session Manager tunnel beside AWS's session-manager-plugin, both on one service, whose limiter is on, and one
// destination, visited in turn in every round. Never a test: figures depend on the machine and on who else uses it.
// The walk: ssm.ts → run.ts (what all benchmarks do) → ssm-peers.ts (who is compared) → ssm-visits.ts (what is asked) → visit.ts → report.ts.
import { SessionManager } from '../support/ssm/session-manager.ts';
import type { Who } from './figures.ts';
import { type Run, run } from './run.ts';
import type { Tunnel } from './sidecar.ts';
import { cases, type SsmCase } from './ssm-cases.ts';
import { buildPrograms, type SsmWay, startOurs, startPlugin } from './ssm-peers.ts';
import { manySessions, memories, memoryCases, mostSessions, visits, warmUp } from './ssm-visits.ts';
import { inTurn, type Visit } from './visit.ts';

const peer = 'session-manager-plugin';

await run({
  name: 'bench:ssm',
  script: import.meta.url,
  cases,
  peer,
  options: {
    idle: { usage: 'SECONDS how long tunnels are left alone before their memory is read (300)', default: '300' },
    'memory-rounds': { usage: 'N    pairs of tunnels whose memory is read (3)', default: '3' },
  },
  prepare: buildPrograms,
  measure,
});

async function measure(run: Run<SsmCase>): Promise<{ readonly sure: string; readonly versions: string }> {
  const { destinationPort, directory } = run;
  const service = await SessionManager.start();
  run.atEnd(async () => await service.stop());
  await service.set({ Limiter: true, Pace: true });
  const way: SsmWay = { service, destinationPort, directory };
  for (const [addedMs, all] of visits) {
    const wanted = all.filter(({ fills }) => fills.some(run.wants));
    if (wanted.length > 0) await visitStanding(run, way, addedMs, wanted);
  }
  await visitManySessions(run, way);
  if (memoryCases.some(run.wants)) await visitMemory(run, way);
  const { calls, complaints } = await service.seen();
  // The figures of a peer that the limiter cut off, or that broke the protocol, prove nothing.
  if ((calls['Limited'] ?? 0) > 0) throw new Error('the limiter ended a socket');
  if (complaints !== null) throw new Error(`a peer broke the protocol: ${complaints.join('; ')}`);
  return { sure: 'limiter and pace of the service on', versions: `${peer} as test/support/ssm/plugin/go.mod pins it` };
}

/** Both stay up, with one session each. */
async function visitStanding(
  { load, program, results, rounds, say }: Run<SsmCase>,
  way: SsmWay,
  addedMs: number,
  wanted: readonly Visit<SsmCase>[],
): Promise<void> {
  const tunnels: [who: Who, tunnel: Tunnel][] = [];
  await way.service.set({ DelayMs: addedMs / 2 });
  try {
    tunnels.push(['ours', await startOurs(program, way, 1)]);
    tunnels.push(['theirs', await startPlugin(way)]);
    for (const [, tunnel] of tunnels) await warmUp(load, tunnel);
    const onRound = (round: number): void => say(`added round trip ${addedMs} ms: round ${round} of ${rounds}`);
    await inTurn(results, load, tunnels, wanted, { rounds, onRound });
  } finally {
    for (const [, tunnel] of tunnels) await tunnel.stop();
    await way.service.set({ DelayMs: 0 });
  }
}

async function visitManySessions(run: Run<SsmCase>, way: SsmWay): Promise<void> {
  const { load, program, results, rounds, say } = run;
  const wanted = manySessions.filter(({ fills }) => fills.some(run.wants));
  if (wanted.length === 0) return;
  const tunnel = await startOurs(program, way, mostSessions);
  try {
    for (let round = 1; round <= rounds; round += 1) {
      say(`several sessions: round ${round} of ${rounds}`);
      for (const { visit, alone } of wanted) {
        const turns: [Who, Visit<SsmCase>][] = [
          ['ours', visit],
          ['theirs', alone],
        ];
        for (const [who, { measure }] of round % 2 === 1 ? turns : turns.reverse()) {
          results.add(who, await measure(load, tunnel, who));
        }
      }
    }
  } finally {
    await tunnel.stop();
  }
}

/** Each round with tunnels that were started for it; they are left alone together. */
async function visitMemory(run: Run<SsmCase>, way: SsmWay): Promise<void> {
  const rounds = run.option('memory-rounds');
  for (let round = 1; round <= rounds; round += 1) {
    run.say(`memory: round ${round} of ${rounds}`);
    const tunnels: Tunnel[] = [];
    try {
      tunnels.push(await startOurs(run.program, way, 1));
      tunnels.push(await startPlugin(way));
      const [ours, theirs] = await memories(run.load, tunnels, run.option('idle') * 1_000);
      run.results.add('ours', ours ?? {});
      run.results.add('theirs', theirs ?? {});
    } finally {
      for (const tunnel of tunnels) await tunnel.stop();
    }
  }
}
