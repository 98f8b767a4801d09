// `npm run bench`: the ssh tunnel beside `ssh -L`, with its cipher and with ssh's own choice, and its path in TypeScript beside `ssh -L`; visited in turn in every round. Never a test:
// figures depend on the machine and on who else uses it.
// The walk: bench.ts → run.ts (what all benchmarks do) → peers.ts (who is compared) → measure.ts (what is asked) → visit.ts → load.ts and
// destination.ts (bytes) → report.ts.
import { spawnSync } from 'node:child_process';
import { generateKey, startSshd } from '../../lab/private-network/sshd.ts';
import { noNativeDataPathOption } from '../../src/contract/data-path.ts';
import type { Figures, Who } from './figures.ts';
import { fresh, visits, warmUp } from './measure.ts';
import { cipher, requireCipher, startOurs, startSsh, type Way } from './peers.ts';
import { portOf, type Run, run, startScript } from './run.ts';
import type { Tunnel } from './sidecar.ts';
import { beside, cases, figuresOf, type SshCase } from './ssh-cases.ts';
import { inTurn, type Turn, type Visit } from './visit.ts';

await run({ name: 'bench', script: import.meta.url, cases, peer: 'ssh -L', measure });

async function measure(run: Run<SshCase>): Promise<{ readonly sure: string; readonly versions: string }> {
  const { directory, destinationPort } = run;
  // Each key exchange logged, and enough open files for a channel per connection.
  const config = ['LogVerbose kex.c:*:*', 'LogLevel INFO'];
  const sshd = await startSshd({ config: [...config, `Ciphers ${cipher}`], openFiles: 4_096 });
  run.atEnd(async () => await sshd.stop());
  const key = await generateKey(directory, { name: 'user' });
  sshd.authorize([key.publicKey]);
  const way: Way = { sshd, key, bastionPort: sshd.port, destinationPort, directory };
  for (const [addedMs, all] of visits) {
    const wanted = all.filter(({ fills }) => fills.some((name) => isWanted(run, name, 'usual')));
    if (wanted.length > 0) await visitStanding(run, way, addedMs, wanted, config);
  }
  await visitTypescript(run, way);
  await visitFresh(run, way);
  // This log has each connection of both peers, with both its directions.
  requireCipher('sshd', sshd.log(), 4);
  const versions = spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr.trim();
  return { sure: [`${cipher} in every key exchange`, ...means(run)].join('; '), versions };
}

/** Whether that case is wanted, or the one of that kind beside it. */
function isWanted({ wants }: Run<SshCase>, name: SshCase, kind: 'usual' | 'typescript'): boolean {
  const other = beside(kind, name);
  return wants(name) || (other !== undefined && wants(other));
}

/** The tunnels stay up. Without a proxy there is a third: `ssh -L` with the cipher of its own choice. */
async function visitStanding(
  run: Run<SshCase>,
  way: Way,
  addedMs: number,
  wanted: readonly Visit<SshCase>[],
  config: readonly string[],
): Promise<void> {
  const { load, program, results, rounds, say } = run;
  const proxy =
    addedMs === 0 ? undefined : startScript(new URL('delay-proxy.ts', import.meta.url), way.sshd.port, addedMs);
  const turns: Turn<SshCase>[] = [];
  try {
    const through = proxy === undefined ? way : { ...way, bastionPort: await portOf(proxy) };
    const ours = await startOurs(program, through);
    turns.push(['ours', ours, (figures) => [figures, figuresOf('usual', figures)]]);
    turns.push(['theirs', await startSsh(through, { ciphers: cipher })]);
    if (wanted.some(({ fills }) => fills.some((name) => beside('usual', name) !== undefined))) {
      const sshd = await startSshd({ config, openFiles: 4_096 });
      run.atEnd(async () => await sshd.stop());
      sshd.authorize([way.key.publicKey]);
      const usual = await startSsh({ ...way, sshd, bastionPort: sshd.port });
      turns.push(['theirs', usual, (figures) => [figuresOf('usual', figures)]]);
    }
    for (const [, tunnel] of turns) await warmUp(load, tunnel);
    const onRound = (round: number): void => say(`added round trip ${addedMs} ms: round ${round} of ${rounds}`);
    await inTurn(results, load, turns, wanted, { rounds, onRound });
  } finally {
    for (const [, tunnel] of turns) await tunnel.stop();
    await proxy?.kill();
  }
}

/** The path in TypeScript beside `ssh -L`. By itself: the admin server of a second sidecar would find its port taken. */
async function visitTypescript(run: Run<SshCase>, way: Way): Promise<void> {
  const { load, program, results, rounds, say } = run;
  const isAsked = (name: SshCase): boolean => {
    const other = beside('typescript', name);
    return other !== undefined && run.wants(other);
  };
  const wanted = (visits.get(0) ?? []).filter(({ fills }) => fills.some(isAsked));
  if (wanted.length === 0) return;
  const turns: Turn<SshCase>[] = [];
  const rows = (figures: Figures<SshCase>): readonly Figures<SshCase>[] => [figuresOf('typescript', figures)];
  try {
    turns.push(['ours', await startOurs(program, way, { words: [noNativeDataPathOption] }), rows]);
    turns.push(['theirs', await startSsh(way, { ciphers: cipher }), rows]);
    for (const [, tunnel] of turns) await warmUp(load, tunnel);
    await inTurn(results, load, turns, wanted, {
      rounds,
      onRound: (round) => say(`the path in TypeScript: round ${round} of ${rounds}`),
    });
  } finally {
    for (const [, tunnel] of turns) await tunnel.stop();
  }
}

/** The budgets for the mean of the four bulk cases. */
function means({ results, wants }: Run<SshCase>): string[] {
  const bulk = ['download-1', 'upload-1', 'download-8', 'upload-8'] as const;
  const rows = results.rows(wants, 'ssh -L');
  const mean = (names: readonly SshCase[], what: string, least: number): string[] => {
    const ratios = names.flatMap((name) => rows.find((row) => row.case === name)?.ratio?.median ?? []);
    if (ratios.length < names.length) return [];
    const value = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    return [`${what} ${value.toFixed(2)} ×, ${value >= least ? 'met' : 'NOT MET'} (≥ ${least} ×)`];
  };
  return [
    ...mean(bulk, 'the mean of the four', 1.1),
    ...mean(
      bulk.map((name) => `usual-${name}` as const),
      'of ssh with its own cipher',
      1.6,
    ),
  ];
}

/** Each visit uses a tunnel that was started for it: ours on both of its paths, and theirs. */
async function visitFresh(run: Run<SshCase>, way: Way): Promise<void> {
  const { load, program, results, rounds, say } = run;
  const isAsked = (name: SshCase): boolean => run.wants(name) || isWanted(run, name, 'typescript');
  if (!fresh.fills.some(isAsked)) return;
  const typescript = (figures: Figures<SshCase>): Figures<SshCase> => figuresOf('typescript', figures);
  const peers: [who: Who, start: () => Promise<Tunnel>, row?: typeof typescript][] = [
    ['ours', async () => await startOurs(program, way)],
    ['ours', async () => await startOurs(program, way, { words: [noNativeDataPathOption] }), typescript],
    ['theirs', async () => await startSsh(way, { ciphers: cipher })],
  ];
  for (let round = 0; round < rounds; round += 1) {
    say(`fresh starts: round ${round + 1} of ${rounds}`);
    for (const [who, start, row = (figures: Figures<SshCase>) => figures] of peers) {
      const tunnel = await start();
      try {
        results.add(who, row(await fresh.measure(load, tunnel, who)));
      } finally {
        await tunnel.stop();
      }
    }
    peers.reverse();
  }
}
