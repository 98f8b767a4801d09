// `npm run alerts`: each alert of the chart fires in the world that it is for and ends after it, on the test cluster with a real Prometheus.
// About 15 minutes; `npm run alerts -- PortForwardDown` takes some of them. Nothing else may use the cluster meanwhile.
// Neighbours: worlds.ts and operator-worlds.ts; test/cluster/monitoring.test.ts runs two of them in `npm test`.
import { setTimeout as delay } from 'node:timers/promises';
import { runScript, WrongCall } from '../../lab/process/script.ts';
import { operatorWorlds } from './operator-worlds.ts';
import { WatchedShop } from './watched-shop.ts';
import { tunnelWorlds, type World } from './worlds.ts';

const limitMs = 240_000;
/** So low that a world of one tunnel reaches them. Of watches: above the minute after which the API server sends a bookmark. */
const thresholds = {
  PortForwardSessionsLost: 2,
  PortForwardRepairs: 3,
  PortForwardQueueLong: 5,
  PortForwardDialsSlow: 0.5,
  PortForwardWatchStale: 100,
};

const worlds = [...tunnelWorlds, ...operatorWorlds];

await runScript(async (signal) => {
  const named = process.argv.slice(2).filter((word) => word !== '--yes');
  const unknown = named.filter((name) => !worlds.some(({ alert }) => alert === name));
  if (unknown.length > 0) throw new WrongCall(`no alert is called ${unknown.join(', ')}`);
  const values = Object.entries(thresholds).map(([name, value]) => `metrics.rules.alerts.${name}.threshold=${value}`);
  const watched = await WatchedShop.open('alerts', values);
  const failed: string[] = [];
  // What fires before the first world is about other PortForwards of the cluster.
  await delay(5_000);
  const others = (await watched.prometheus.firing()).map(({ labels }) => JSON.stringify(labels));
  try {
    for (const world of worlds.filter(({ alert }) => named.length === 0 || named.includes(alert))) {
      signal.throwIfAborted();
      const said = await visit(watched, world, others).catch((error: unknown) => {
        failed.push(world.alert);
        return `FAILED ${String(error)}`;
      });
      console.log(`${world.alert.padEnd(36)}${said}`);
    }
  } finally {
    await watched.close();
  }
  if (failed.length === 0) return 0;
  console.log(`failed: ${failed.join(', ')}`);
  return 1;
});

/** One line of figures. @throws Error if the alert fires before its time, does not fire, or does not end. */
async function visit(watched: WatchedShop, { alert, begin, end }: World, others: readonly string[]): Promise<string> {
  const until = async (fires: boolean): Promise<number> => await untilItFires(watched, alert, { fires, others });
  await until(false);
  let begun: number;
  const started = performance.now();
  try {
    await begin(watched);
    await until(true);
    begun = performance.now() - started;
  } finally {
    await end(watched);
  }
  const ended = await until(false);
  return `fires after ${(begun / 1000).toFixed(1)} s, ends after ${(ended / 1000).toFixed(1)} s`;
}

async function untilItFires(
  { prometheus, shop }: WatchedShop,
  alert: string,
  { fires, others }: { readonly fires: boolean; readonly others: readonly string[] },
): Promise<number> {
  const began = performance.now();
  const places = [undefined, shop.namespace, 'portforward-system'];
  for (;;) {
    // Pods come and go. While the API server is stopped, the list stays as it was.
    await Promise.race([prometheus.discover().catch(() => {}), delay(5_000)]);
    const now = (await prometheus.firing()).some(
      ({ labels }) =>
        labels['alertname'] === alert &&
        places.includes(labels['namespace']) &&
        !others.includes(JSON.stringify(labels)),
    );
    if (now === fires) return performance.now() - began;
    if (performance.now() - began > limitMs)
      throw new Error(`${alert} ${fires ? 'does not fire' : 'fires'} after ${limitMs / 1000} s`);
    await delay(1_000);
  }
}
