// `npm run cluster -- up|down|status|build`: the test cluster by hand.
// Neighbour: cluster.ts does it.
import { Command } from 'commander';
import { cachedProgram, placesOf } from '../base/places.ts';
import { elapsed, type Log } from '../base/progress.ts';
import { ensureImage } from '../images/images.ts';
import { missingPackages } from '../programs/packages.ts';
import { allPrograms, ensurePrograms } from '../programs/programs.ts';
import { ensureCluster, removeCluster, useKind } from './cluster.ts';
import { HostCluster } from './host-cluster.ts';

const log: Log = (line) => console.log(line);
const started = performance.now();
const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => abort.abort(new Error(`ended by ${signal}`)));

const program = new Command('cluster')
  .description('the single-node Kubernetes cluster that tests and the demo run in')
  .option('--instance <number>', 'which of the clusters that can stand side by side, 0 to 2', Number, 0);

const instance = (): number => program.opts<{ instance: number }>().instance;

program
  .command('up')
  .description('start it, repair it, or find it running')
  .option('--yes', 'do not ask before the machine is changed')
  .action(async ({ yes = false }: { yes?: boolean }) => {
    const cluster = await ensureCluster({ log, yes, instance: instance(), signal: abort.signal });
    log(`The cluster is up (${elapsed(started)}). Look around:`);
    log(`  export KUBECONFIG=${cluster.kubeconfig} PATH=${cachedProgram('')}:$PATH`);
    log('  kubectl get pods --all-namespaces');
    log('Remove it: npm run cluster -- down');
  });

program
  .command('down')
  .description('end it and leave the machine as it was; caches stay')
  .option('--yes', 'accepted for symmetry; nothing is asked')
  .action(async () => {
    await removeCluster({ log, instance: instance() });
    log(`The cluster is gone (${elapsed(started)}).`);
  });

program
  .command('status')
  .description('say what runs; exits with 1 unless the cluster is healthy')
  .action(async () => {
    if (await useKind()) return log('kind: see `kind get clusters`');
    const cluster = new HostCluster(placesOf(instance()));
    const { alive, dead } = cluster.state();
    const healthy = await cluster.healthy();
    log(`${healthy ? 'healthy' : 'not healthy'}: ${cluster.url}, kubeconfig ${cluster.places.kubeconfig}`);
    if (alive.length > 0) log(`runs: ${alive.join(', ')}`);
    if (dead.length > 0) log(`does not run: ${dead.join(', ')}`);
    log(`logs: ${cluster.places.logs}`);
    process.exitCode = healthy ? 0 : 1;
  });

program
  .command('build')
  .description('build programs and images into the cache, without starting anything')
  .action(async () => {
    const options = { log, signal: abort.signal };
    const packages = await missingPackages();
    // Installing is for `up`, which asks first.
    if (packages.length > 0) throw new Error(`first: apt-get install --no-install-recommends ${packages.join(' ')}`);
    await ensurePrograms(allPrograms, options);
    for (const name of ['pause', 'base', 'client'] as const) await ensureImage(name, options);
    log(`Everything is built (${elapsed(started)}).`);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
