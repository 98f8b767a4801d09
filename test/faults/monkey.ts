// `npm run monkey`: every disturbance of the first week's report on a real cluster under load, in the order that a seed gives, each with the
// longest gap for new clients beside the one that was measured then. `-- --seed 7 --rounds 2`; default: seed 1, one round (about 6 minutes).
// `-- stopped-5s key-rotated` makes only these.
// Neighbours: disturbances.ts is the list, monkey-load.ts the clients; cluster-recovery.test.ts makes the short ones in `npm test`.
import { parseArgs } from 'node:util';
import { ensureCluster } from '../../lab/cluster/cluster.ts';
import { ensureOperator } from '../../lab/cluster/operator.ts';
import { Shop } from '../../lab/cluster/shop.ts';
import { runScript, WrongCall } from '../../lab/process/script.ts';
import { type DisturbanceName, disturbances } from './disturbances.ts';
import { type Answers, MonkeyLoad } from './monkey-load.ts';
import { OpenTunnel } from './open-tunnel.ts';

export interface Gap {
  readonly name: DisturbanceName;
  readonly gapMs: number;
}

export interface MonkeyRun {
  readonly gaps: readonly Gap[];
  readonly answers: Answers;
  readonly refusals: readonly string[];
}

/** Makes the disturbances under load, one after the other. @throws Error if clients are not carried again after one. */
export async function disturb(
  tunnel: OpenTunnel,
  names: readonly DisturbanceName[],
  report: (line: string) => void,
): Promise<MonkeyRun> {
  await using load = new MonkeyLoad(tunnel);
  await load.carried();
  const gaps: Gap[] = [];
  for (const name of names) {
    const { what, gapBeforeMs, make } = disturbances[name];
    const from = Date.now();
    await make(tunnel);
    await load.carried();
    const gapMs = load.longestGap(from, Date.now());
    gaps.push({ name, gapMs });
    const verdict = gapMs <= gapBeforeMs ? 'no longer than' : 'LONGER THAN';
    report(
      `${what}: longest gap ${(gapMs / 1_000).toFixed(2)} s, ${verdict} ${(gapBeforeMs / 1_000).toFixed(2)} s then`,
    );
  }
  return { gaps, answers: load.answers, refusals: load.refusals };
}

/** The names in the order that the seed gives (mulberry32, Fisher and Yates). */
export function shuffled(names: readonly DisturbanceName[], seed: number): readonly DisturbanceName[] {
  const order = [...names];
  let state = seed;
  for (let index = order.length - 1; index > 0; index -= 1) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    const other = ((mixed ^ (mixed >>> 14)) >>> 0) % (index + 1);
    [order[index], order[other]] = [order[other] as DisturbanceName, order[index] as DisturbanceName];
  }
  return order;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '1' },
      yes: { type: 'boolean' },
    },
  });
  const [seed, rounds] = [Number(values.seed), Number(values.rounds)];
  const all = Object.keys(disturbances) as DisturbanceName[];
  const chosen = positionals.length === 0 ? all : all.filter((name) => positionals.includes(name));
  if (!Number.isInteger(seed) || !(rounds >= 1) || chosen.length < positionals.length) {
    throw new WrongCall(`npm run monkey -- --seed N --rounds N [${all.join(' | ')}]…`);
  }
  const cluster = await ensureCluster();
  await ensureOperator(cluster);
  await cluster.clientImage();
  const shop = await Shop.create(cluster, 'monkey');
  let tunnel: OpenTunnel | undefined;
  try {
    await shop.client();
    tunnel = await OpenTunnel.through({ cluster, shop }, 'db');
    return (await everyRound(tunnel, chosen, { seed, rounds })) ? 0 : 1;
  } finally {
    await shop.delete();
    await tunnel?.network.stop();
  }
}

/** True if nobody read anything wrong. */
async function everyRound(
  tunnel: OpenTunnel,
  chosen: readonly DisturbanceName[],
  { seed, rounds }: { readonly seed: number; readonly rounds: number },
): Promise<boolean> {
  let isRight = true;
  for (let round = 0; round < rounds; round += 1) {
    console.log(`round ${round + 1}, seed ${seed + round}`);
    const names = shuffled(chosen, seed + round);
    const { answers, refusals } = await disturb(tunnel, names, (line) => console.log(line));
    const { rows, copies, refused, wrong } = answers;
    console.log(`${rows} new connections and ${copies} COPYs answered, ${refused} refused, ${wrong.length} wrong`);
    for (const refusal of refusals) console.log(`  ${refusal}`);
    isRight &&= wrong.length === 0;
  }
  return isRight;
}

if (import.meta.main) await runScript(main);
