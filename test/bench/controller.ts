// `npm run bench:controller`: the controller with thousands of PortForwards and their pods, on a real API server, scheduler and
// controller-manager; nodes and pods by kwok. Never a test: figures depend on the machine and on who else uses it.
// The walk: controller.ts → run.ts (what all benchmarks do) → controller-round.ts (what is done) → controller-world.ts (what is there) → report.ts.
import { type ControllerCase, cases } from './controller-cases.ts';
import { Round } from './controller-round.ts';
import { buildWorld, ControllerWorld } from './controller-world.ts';
import { type Run, run } from './run.ts';

await run({
  name: 'bench:controller',
  script: import.meta.url,
  cases,
  peer: 'none',
  carriesBytes: false,
  options: {
    rounds: { usage: 'N     each with a new cluster (1)', default: '1' },
    changes: { usage: 'N    edits one after the other, and a fifth of that in a storm (100)', default: '100' },
    storm: { usage: 'N      documents that are edited at once in the storm, at most all (1000)', default: '1000' },
    steady: { usage: 'SECONDS how long it is watched in steady state, and in an upgrade (30)', default: '30' },
    count: { usage: 'N      PortForwards, with two pods each (1000)', default: '1000' },
  },
  prepare: buildWorld,
  measure,
});

async function measure(run: Run<ControllerCase>): Promise<{ readonly sure: string; readonly versions: string }> {
  const count = run.option('count');
  for (let round = 1; round <= run.rounds; round += 1) {
    const world = await ControllerWorld.start(count);
    try {
      const begun = await Round.start(run, world, count);
      await begun.measure();
    } finally {
      await world.stop();
    }
  }
  return {
    sure: `${count} PortForwards with two pods each, every one Ready`,
    versions: 'Kubernetes and kwok as their go.mod pins them',
  };
}
