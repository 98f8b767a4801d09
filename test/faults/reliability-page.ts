// The table of docs/reliability.md between its two marks: a row for each fault, with the figures of one run.
// `node test/faults/reliability-page.ts <file of figures>` writes it; scripts/test.ts calls it after `npm run test:faults -- --write`.
// Neighbours: measure.ts appends the figures, fault-list.ts has the faults.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { type Fault, type FaultName, faults } from './fault-list.ts';
import type { FaultFigures } from './measure.ts';

const page = join(import.meta.dirname, '..', '..', 'docs', 'reliability.md');
const [begin, end] = ['<!-- figures: begin -->', '<!-- figures: end -->'];

/** The page with this table in it. @throws if a fault has no figures, or the page no marks */
export function withTable(text: string, figures: readonly FaultFigures[], machine: string): string {
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`docs/reliability.md lacks ${begin} or ${end}`);
  // The last run of a fault counts.
  const latest = new Map(figures.map((one) => [one.fault, one]));
  const rows = Object.entries(faults).map(([name, fault]) => row(fault, latest.get(name as FaultName), name));
  return `${before}${begin}\n${machine}\n\n${head}\n${rows.join('\n')}\n${end}${after}`;
}

const head = [
  '| Driver | Fault | Noticed after | Longest wait of a new connection | Promised | Open connections lost | Bytes wrong | Truncations seen as an end |',
  '|---|---|---|---|---|---|---|---|',
].join('\n');

/** The first cells of a fault's row, by which the test finds it. */
export function cellsOf({ driver, what }: Fault): string {
  return `| ${driver} | ${what} |`;
}

function row(fault: Fault, figures: FaultFigures | undefined, name: string): string {
  if (figures === undefined)
    throw new Error(`the run has no figures of ${name}: run all of test/faults/every-fault.test.ts`);
  const { noticedMs, longestWaitMs, lost, open, wrong, truncated } = figures;
  const noticed = noticedMs === null ? 'no session was suspect' : seconds(noticedMs);
  const cells = [noticed, seconds(longestWaitMs), seconds(fault.newWithinMs), `${lost} of ${open}`, wrong, truncated];
  return `${cellsOf(fault)} ${cells.join(' | ')} |`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

if (import.meta.main) {
  const [file = ''] = process.argv.slice(2);
  const figures = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as FaultFigures);
  const load = loadavg().map((one) => one.toFixed(1));
  const machine = `${cpus().length} × ${cpus()[0]?.model}, Linux ${release()}, Node ${process.versions.node}; load average at the end ${load.join(' ')}.`;
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), figures, machine));
  console.log('docs/reliability.md has the figures of this run');
}
