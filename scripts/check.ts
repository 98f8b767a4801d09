// Everything that can be judged without running the product: types, lint with the import rules, format, unused code, the rules of the
// house, generated files, the chart. Runs all steps even after a failure, so that one run shows everything; `--fix` first repairs what a
// tool can repair.
// Neighbour: test.ts runs it as the first tier.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findHelm } from '../lab/programs/find-program.ts';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules', '.bin', name);
const code = ['src', 'lab', 'test', 'scripts'];

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** The same tool, asked to repair what it finds. */
  readonly fix?: readonly string[];
}

const steps: Step[] = [
  { name: 'types', command: [bin('tsc'), '-p', '.'] },
  {
    name: 'lint and import rules',
    command: [bin('oxlint'), '--type-aware', '--deny-warnings', ...code],
    fix: [bin('oxlint'), '--type-aware', '--fix', ...code],
  },
  {
    name: 'format and import order',
    command: [bin('biome'), 'check', '--error-on-warnings', ...code],
    fix: [bin('biome'), 'check', '--write', ...code],
  },
  { name: 'unused code', command: [bin('knip')] },
  { name: 'house rules', command: [process.execPath, 'scripts/house-rules.ts'] },
  {
    name: 'generated files',
    command: [process.execPath, 'scripts/generate.ts', '--check'],
    fix: [process.execPath, 'scripts/generate.ts'],
  },
];

const helm = findHelm();
if (helm !== undefined && existsSync(join(root, 'helm', 'Chart.yaml'))) {
  steps.push({ name: 'chart', command: [helm, 'lint', '--strict', '--quiet', 'helm'] });
} else {
  console.log(
    'chart: not linted here, no helm on the PATH or in the cache; the integration tier brings one and lints it',
  );
}

const fix = process.argv.includes('--fix');
const failed: string[] = [];
for (const { name, command, fix: repair } of steps) {
  if (fix && repair !== undefined) execute(repair, 'ignore');
  const started = performance.now();
  const passed = execute(command, 'inherit');
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  if (!passed) failed.push(name);
}
if (failed.length > 0) {
  console.log(`check failed: ${failed.join(', ')}${fix ? '' : '; npm run fix repairs what a tool can repair'}`);
  process.exitCode = 1;
}

function execute([program = '', ...args]: readonly string[], stdio: 'inherit' | 'ignore'): boolean {
  const result = spawnSync(program, args, { cwd: root, stdio });
  if (result.error !== undefined && stdio === 'inherit') console.log(`${program}: ${result.error.message}`);
  return result.status === 0;
}
