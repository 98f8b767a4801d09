// `npm test [tier…] [file…]`: the tiers in the order in which they get slower, each with what it needs installed first.
// All output goes to the terminal; the last lines name what was skipped and what failed, and count. With CI=true a skipped test is a
// failure, so nothing is skipped silently.
// `faults --write` writes the figures of the run into docs/reliability.md.
// Neighbours: test-run.ts runs files, check.ts is the first tier, lab/cluster/cluster.ts brings a cluster up.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { eventually } from '../lab/base/eventually.ts';
import { elapsed, progressOn } from '../lab/base/progress.ts';
import { ensureCluster } from '../lab/cluster/cluster.ts';
import { baseImage } from '../lab/images/images.ts';
import { removeAbandonedNetworks } from '../lab/private-network/network.ts';
import { descendantsOf } from '../lab/process/proc.ts';
import { runScript, sentenceOf, WrongCall } from '../lab/process/script.ts';
import { ensureOpensshTen } from '../lab/programs/openssh-ten.ts';
import { allPrograms, ensurePrograms } from '../lab/programs/programs.ts';
import { engineProgram } from '../test/fuzz/native/engine-program.ts';
import { sanitizedNode } from '../test/fuzz/native/sanitized-addon.ts';
import { onBothPaths } from './both-paths.ts';
import { ensurePeers } from './system-packages.ts';
import { type Counts, type FileRun, runFiles } from './test-run.ts';

const root = join(import.meta.dirname, '..');

interface Tier {
  readonly files: readonly string[];
  /** Files at once: as many as two cores carry. Three where most of them wait for outages and time limits to pass. */
  readonly concurrency: number;
  /** The longest files: they begin first, so that none of them runs on by itself at the end. */
  readonly first?: readonly string[];
  /** One more lane: these run one after the other, at the same time as `beside`. */
  readonly lane?: readonly string[];
  /** These run a second time, with the bytes of ssh on the native path. */
  readonly native?: readonly string[];
  /** What may run at the same time; every other file runs by itself, after them. Default: all. */
  readonly beside?: readonly string[];
  readonly fileLimitMs: number;
  /** Brings what the tier's tests need. */
  readonly prepare?: (signal: AbortSignal) => Promise<void>;
}

const minutes = (count: number): number => count * 60_000;

const log = progressOn();

/** Built once: a first build takes longer than a test file may. If it fails, the tests that need it say so. */
async function bringEngine(): Promise<void> {
  if (process.platform !== 'linux') return;
  await engineProgram().catch(() => undefined);
  await sanitizedNode().catch(() => undefined);
}

/** Also what is built once: a first build takes longer than a test file may. */
async function bringPeers(signal: AbortSignal): Promise<void> {
  await ensurePeers({ log, signal });
  await ensureOpensshTen(log, signal);
  await ensurePrograms(allPrograms, { log, signal });
  await baseImage({ log, signal });
}

async function bringCluster(signal: AbortSignal): Promise<void> {
  await ensurePeers({ log, signal });
  await ensureCluster({ log, signal });
}

const tiers: Readonly<Record<string, Tier>> = {
  unit: { files: ['test/unit/**/*.test.ts'], concurrency: 2, fileLimitMs: minutes(3), prepare: bringEngine },
  integration: {
    files: ['test/integration/**/*.test.ts', 'test/driver-suite/**/*.test.ts'],
    concurrency: 2,
    first: ['test/integration/controller/api-faults.test.ts', 'test/integration/ssm/loss.test.ts'],
    // They do little but wait.
    lane: [
      'test/integration/ssm/service-faults.test.ts',
      'test/integration/kube/elector.test.ts',
      'test/integration/controller/frozen-leader.test.ts',
      'test/integration/fly/reasons.test.ts',
      'test/integration/fly/recovery.test.ts',
      'test/integration/sidecar/penalties.test.ts',
      'test/integration/ssh/black-hole.test.ts',
      'test/integration/ssh/session.test.ts',
      'test/integration/ssm/slow-reader.test.ts',
    ],
    native: onBothPaths,
    fileLimitMs: minutes(10),
    prepare: bringPeers,
  },
  cluster: {
    files: ['test/cluster/**/*.test.ts'],
    concurrency: 1,
    // Each of these has a network and a namespace of its own, and all want the same operator. The others change the operator or its values,
    // look at the whole cluster, or measure. In one lane because both tell the cluster's DNS where bastion-a is: main-job and plugin.
    beside: ['test/cluster/bad-worlds.test.ts', 'test/cluster/edits.test.ts'],
    lane: ['test/cluster/bytes.test.ts', 'test/cluster/main-job.test.ts', 'test/cluster/plugin.test.ts'],
    fileLimitMs: minutes(30),
    prepare: bringCluster,
  },
  faults: {
    files: ['test/faults/**/*.test.ts'],
    concurrency: 3,
    first: ['test/faults/ssm-sockets.test.ts', 'test/faults/every-fault.test.ts'],
    // A gibibyte uses both cores all the time, and would starve the promised times of the others.
    beside: ['test/faults/!(*-bulk).test.ts'],
    fileLimitMs: minutes(60),
    prepare: bringCluster,
  },
};
const order = ['check', ...Object.keys(tiers)];

/** test/support/data-path.ts reads it. */
const nativeRun = { PF_DATA_PATH: 'native' };

/** test/faults/measure.ts appends its figures to this file. */
const figuresVariable = 'PF_FAULT_FIGURES';

interface Call {
  readonly named: readonly string[];
  readonly only: readonly string[];
  /** Whether the page gets the figures of the fault suite. */
  readonly write: boolean;
}

/** @throws WrongCall for a word that is neither a tier nor a file. */
function callOf(argv: readonly string[]): Call {
  const write = argv.includes('--write');
  const words = argv.filter((word) => word !== '--yes' && word !== '--write');
  const option = words.find((word) => word.startsWith('-'));
  if (option !== undefined)
    throw new WrongCall(`npm test does not know ${option}; it takes tiers, files, --write and --yes`);
  const named = words.filter((word) => !word.endsWith('.ts'));
  const unknown = named.filter((name) => !order.includes(name));
  if (unknown.length > 0) throw new WrongCall(`no tier is called ${unknown.join(', ')}; there are ${order.join(', ')}`);
  if (write && !named.includes('faults')) throw new WrongCall('--write belongs to the tier faults');
  return { named, only: words.filter((word) => word.endsWith('.ts')).map((file) => resolve(file)), write };
}

await runScript(async (signal) => {
  const { named, only, write } = callOf(process.argv.slice(2));
  process.chdir(root);
  const figures = write ? join(mkdtempSync(join(tmpdir(), 'portforward-figures-')), 'figures') : undefined;
  if (figures !== undefined) process.env[figuresVariable] = figures;
  const total: Counts = { passed: 0, failures: [], skipped: [] };
  try {
    for (const name of order.filter((tier) => named.length === 0 || named.includes(tier))) {
      signal.throwIfAborted();
      const before = performance.now();
      console.log(`\n━━ ${name}`);
      const counts = await runTier(name, only, signal);
      total.passed += counts.passed;
      total.failures.push(...counts.failures);
      total.skipped.push(...counts.skipped);
      console.log(`━━ ${name}: ${summary(counts)} in ${elapsed(before)}${signal.aborted ? ', then ended' : ''}`);
    }
  } finally {
    // Those of tests that were ended before they could do it; a living process keeps its network.
    if (signal.aborted) await eventually('the tests have ended', () => descendantsOf(process.pid).length === 0);
    await removeAbandonedNetworks();
  }
  signal.throwIfAborted();
  if (figures !== undefined && total.failures.length === 0) {
    const { status } = spawnSync(process.execPath, ['test/faults/reliability-page.ts', figures], { stdio: 'inherit' });
    if (status !== 0) total.failures.push('the figures could not be written into docs/reliability.md');
  }
  for (const sentence of total.skipped) console.log(`skipped: ${sentence}`);
  for (const sentence of total.failures) console.log(`failed: ${sentence}`);
  const skipsFail = process.env['CI'] === 'true' && total.skipped.length > 0;
  if (skipsFail) console.log('CI=true: a skipped test is a failure');
  console.log(summary(total));
  return total.failures.length > 0 || skipsFail ? 1 : 0;
});

async function runTier(name: string, only: readonly string[], signal: AbortSignal): Promise<Counts> {
  const tier = tiers[name];
  if (tier === undefined) {
    const { status } = spawnSync(process.execPath, ['scripts/check.ts'], { stdio: 'inherit' });
    return status === 0 ? { passed: 1, failures: [], skipped: [] } : failure('check: see what it printed');
  }
  const lost = [tier.first, tier.lane, tier.beside, tier.native].flatMap((patterns = []) =>
    patterns.filter((pattern) => globSync(pattern).length === 0),
  );
  if (lost.length > 0) return failure(`the tier ${name} names what does not exist: ${lost.join(', ')}`);
  const find = (patterns: readonly string[] = []): string[] =>
    globSync(patterns)
      .map((file) => resolve(file))
      .filter((file) => only.length === 0 || only.includes(file));
  // In the order of the list.
  const first = (tier.first ?? []).flatMap((file) => find([file]));
  const files = [...new Set([...first, ...find(tier.files).toSorted()])];
  if (files.length === 0) {
    return failure(`the tier ${name} has no such test file (${tier.files.join(', ')})`);
  }
  try {
    await tier.prepare?.(signal);
  } catch (error) {
    return failure(`${name} could not begin: ${sentenceOf(error)}`);
  }
  const beside = find(tier.beside ?? tier.files);
  const lane = find(tier.lane);
  const others = files.filter((file) => !lane.includes(file));
  const together = others.filter((file) => beside.includes(file));
  const native = (files: readonly string[]): FileRun[] =>
    find(tier.native)
      .filter((file) => files.includes(file))
      .map((file) => ({ file, label: 'native data path', environment: nativeRun }));
  const runs = [...together, ...native(together)];
  const laneRuns = [...lane, ...native(lane)];
  const whole = runs.length + laneRuns.length > 1;
  const counts = await Promise.all([
    runFiles(runs, { ...tier, whole, signal }),
    runFiles(laneRuns, { ...tier, concurrency: 1, whole, signal }),
  ]);
  const alone = others.filter((file) => !beside.includes(file));
  return sumOf([...counts, await runFiles(alone, { ...tier, concurrency: 1, signal })]);
}

function sumOf(counts: readonly Counts[]): Counts {
  return {
    passed: counts.reduce((sum, { passed }) => sum + passed, 0),
    failures: counts.flatMap(({ failures }) => failures),
    skipped: counts.flatMap(({ skipped }) => skipped),
  };
}

function failure(sentence: string): Counts {
  return { passed: 0, failures: [sentence], skipped: [] };
}

function summary({ passed, failures, skipped }: Counts): string {
  return `${passed} passed, ${failures.length} failed, ${skipped.length} skipped`;
}
