// A network namespace for a measurement: the sidecar's admin port has one number, and nobody else's connections count.
// Neighbours: run.ts (the benchmarks), ../soak/ (the long runs).
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const insideVariable = 'PF_BENCH_INSIDE';

/** True in the process that `runInOwnNetwork` started. */
export const inOwnNetwork = process.env[insideVariable] !== undefined;

/** Runs `script`, the caller itself, with the same arguments in a network of its own. Returns its exit code; needs root. */
export function runInOwnNetwork(script: string): number {
  const network = ['--net', 'setpriv', '--pdeathsig', 'KILL', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
  const self = [process.execPath, fileURLToPath(script), ...process.argv.slice(2)];
  const env = { ...process.env, [insideVariable]: '1' };
  return spawnSync('unshare', [...network, ...self], { stdio: 'inherit', env }).status ?? 1;
}
