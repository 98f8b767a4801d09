// What all benchmarks have in common: their options, a network of their own, what is started and ended, and what is printed.
// Neighbours: bench.ts (ssh) and ssm.ts are the benchmarks, report.ts makes the table and the array.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release as kernel, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from '../../lab/process/child.ts';
import { type Cases, namesOf } from './figures.ts';
import { LoadGenerator } from './load-generator.ts';
import { inOwnNetwork, runInOwnNetwork } from './own-network.ts';
import { Results, table } from './report.ts';
import { bundle } from './sidecar.ts';

export interface Benchmark<N extends string> {
  /** `npm run <name>`. */
  readonly name: string;
  /** The calling file. */
  readonly script: string;
  readonly cases: Cases<N>;
  /** The usual peer; a case may have another. */
  readonly peer: string;
  /** Whether bytes are measured. Default: true. */
  readonly carriesBytes?: boolean;
  /** Further options, each a number, with their usage lines. `rounds` replaces the usual one. */
  readonly options?: Readonly<Record<string, { readonly usage: string; readonly default: string }>>;
  /** Fetches or builds what the run needs, while the machine's network is still there. */
  readonly prepare?: () => Promise<void>;
  /** Measures the wanted cases; returns a sentence about what it verified, and the versions of all peers. */
  readonly measure: (run: Run<N>) => Promise<{ readonly sure: string; readonly versions: string }>;
}

/** A run in progress. */
export interface Run<N extends string> {
  readonly rounds: number;
  readonly results: Results<N>;
  readonly load: LoadGenerator;
  /** The bundle to run as ours. */
  readonly program: string;
  readonly destinationPort: number;
  /** A folder for files; removed after the run. */
  readonly directory: string;
  readonly wants: (name: N) => boolean;
  /** The value of a further option. */
  readonly option: (name: string) => number;
  /** Prints a line of progress with the time since the start, for people only. */
  readonly say: (line: string) => void;
  /** Called in reverse order at the end, however the run ends. */
  readonly atEnd: (end: () => unknown) => void;
}

/** Runs the benchmark as the command line says. */
export async function run<N extends string>(benchmark: Benchmark<N>): Promise<void> {
  const { cases, options: further = {}, prepare, script } = benchmark;
  const names = namesOf(cases);
  const numeric = Object.entries({ rounds: { default: '9' }, ...further });
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(
        numeric.map(([option, { default: value }]) => [option, { type: 'string', default: value }]),
      ),
      case: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      'json-file': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const given: Readonly<Record<string, unknown>> = values;
  const numbers = new Map(numeric.map(([option]) => [option, Number(given[option])]));
  const chosen = values.case ?? [];
  const unknown = chosen.filter((one) => !(names as readonly string[]).includes(one));
  const wrong = [...numbers].filter(([, value]) => !Number.isInteger(value) || value < 1).map(([option]) => option);
  if (values.help === true || unknown.length > 0 || wrong.length > 0) {
    if (unknown.length > 0) console.error(`no such case: ${unknown.join(', ')}`);
    if (wrong.length > 0) console.error(`not a number from 1 on: ${wrong.map((one) => `--${one}`).join(', ')}`);
    console.error(usage(benchmark));
    process.exitCode = values.help === true ? 0 : 2;
    return;
  }
  if (!inOwnNetwork) {
    await prepare?.();
    process.exitCode = runInOwnNetwork(script);
    return;
  }
  await inside(benchmark, {
    numbers,
    json: values.json === true,
    jsonFile: values['json-file'],
    wants: (one) => chosen.length === 0 || chosen.includes(one),
  });
}

interface Asked<N extends string> {
  readonly numbers: ReadonlyMap<string, number>;
  readonly json: boolean;
  /** Written anew after each figure, so that a run that is interrupted leaves what it had. */
  readonly jsonFile: string | undefined;
  readonly wants: (name: N) => boolean;
}

async function inside<N extends string>(benchmark: Benchmark<N>, asked: Asked<N>): Promise<void> {
  const { numbers, json, jsonFile, wants } = asked;
  const { cases, measure, peer, carriesBytes = true } = benchmark;
  const started = performance.now();
  const directory = mkdtempSync(join(tmpdir(), 'portforward-bench-'));
  const ends: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  try {
    const loadBefore = loadavg();
    const program = await bundle(directory);
    const destination = startScript(new URL('destination.ts', import.meta.url));
    ends.push(async () => await destination.kill());
    const load = new LoadGenerator();
    ends.push(() => load.stop());
    const results = new Results(cases, () => {
      if (jsonFile !== undefined) replaceFile(jsonFile, JSON.stringify(results.rows(wants, peer)));
    });
    const rounds = numbers.get('rounds') ?? 1;
    const { sure, versions } = await measure({
      rounds,
      results,
      load,
      program,
      destinationPort: await portOf(destination),
      directory,
      wants,
      option: (name) => numbers.get(name) ?? Number.NaN,
      say: (line) => {
        if (!json) console.error(`${elapsed(performance.now() - started)} ${line}`);
      },
      atEnd: (end) => ends.push(end),
    });
    const rows = results.rows(wants, peer);
    if (json) {
      console.log(JSON.stringify(rows));
      return;
    }
    const loadText = (load: readonly number[]): string => load.map((one) => one.toFixed(1)).join(' ');
    console.log(table(rows, cases));
    console.log(`\n${rounds} rounds; ${sure}${carriesBytes ? '; incompressible data, SHA-256 at the sink' : ''}.`);
    console.log(
      `${cpus().length} × ${cpus()[0]?.model}, Linux ${kernel()}, Node ${process.versions.node}, ${versions}.`,
    );
    console.log(
      `Load average before ${loadText(loadBefore)}, after ${loadText(loadavg())}: other work on the machine widens the spread.`,
    );
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

function usage<N extends string>({ cases, name, options = {} }: Benchmark<N>): string {
  const lines = Object.entries(options).map(([option, { usage: text }]) => `  --${option} ${text}`);
  return [
    `npm run ${name} -- [options]`,
    '  --rounds N     interleaved rounds (9, the fewest that count)',
    `  --case NAME    only this case; may be repeated. One of: ${namesOf(cases).join(', ')}`,
    ...lines,
    '  --json         print an array of {case, peer, unit, better, ours, theirs, ratio} and nothing else',
    '  --json-file F  write that array to F after each figure: a run that is interrupted leaves what it had',
  ].join('\n');
}

/** A reader never meets half a file. */
function replaceFile(file: string, content: string): void {
  writeFileSync(`${file}.part`, content);
  renameSync(`${file}.part`, file);
}

/** Minutes and seconds. */
function elapsed(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** A script of this folder that prints `listening <port>`. */
export function startScript(script: URL, ...args: number[]): Child {
  const file = fileURLToPath(script);
  return new Child(basename(file), process.execPath, [file, ...args.map(String)]);
}

export async function portOf(script: Child): Promise<number> {
  return Number((await script.line(/^listening \d+$/)).split(' ')[1]);
}
