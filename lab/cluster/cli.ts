// `npm run cluster -- up|down|status|build`: starts and removes the test cluster for a person.
// Neighbour: cluster.ts does it.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { cachedProgram, maxInstances, placesOf } from '../base/places.ts';
import { elapsed, progressOn } from '../base/progress.ts';
import { runScript } from '../process/script.ts';
import { ensureCluster, removeCluster, useKind } from './cluster.ts';
import { HostCluster } from './host-cluster.ts';

const log = progressOn();
const started = performance.now();

function instanceOf(text: string): number {
  const instance = Number(text);
  if (/^\d$/.test(text) && instance < maxInstances) return instance;
  throw new InvalidArgumentError(`It is a number from 0 to ${maxInstances - 1}.`);
}

function commandLine(signal: AbortSignal): Command {
  const program = new Command('cluster')
    .description('the single-node Kubernetes cluster that tests and the demo run in')
    .option('--instance <number>', 'which of the clusters that can stand side by side, 0 to 2', instanceOf, 0)
    .exitOverride();
  const instance = (): number => program.opts<{ instance: number }>().instance;

  program
    .command('up')
    .description('start it, repair it, or find it running')
    .option('--yes', 'do not ask on a terminal before the machine is changed')
    .action(async ({ yes = false }: { yes?: boolean }) => {
      const cluster = await ensureCluster({ log, yes, instance: instance(), signal });
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
      process.exitCode = await report(new HostCluster(placesOf(instance())));
    });

  program
    .command('build')
    .description('build programs and images into the cache, without starting anything')
    .action(async () => {
      await new HostCluster(placesOf(instance())).build({ log, signal });
      log(`Everything is built (${elapsed(started)}).`);
    });
  return program;
}

/** Says what runs and gives the exit code. */
async function report(cluster: HostCluster): Promise<number> {
  if (await useKind()) {
    log('kind: see `kind get clusters`');
    return 0;
  }
  const { alive, dead } = cluster.state();
  const healthy = await cluster.healthy();
  log(`${healthy ? 'healthy' : 'not healthy'}: ${cluster.url}, kubeconfig ${cluster.places.kubeconfig}`);
  if (alive.length > 0) log(`runs: ${alive.join(', ')}`);
  if (dead.length > 0) log(`does not run: ${dead.join(', ')}`);
  log(`logs: ${cluster.places.logs}`);
  return healthy ? 0 : 1;
}

await runScript(async (signal) => {
  try {
    await commandLine(signal).parseAsync();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // It has said itself what is wrong with the call.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
});
