// `npm run bench:policies`: what the chart's admission policies cost. Two accounts with the same rights apply the same objects in turn: the
// controller's, which the policies judge, and another one, which they do not. Never a test: figures depend on the machine.
// Neighbours: test/integration/helm/cage-world.ts (the API server with the chart in it), docs/benchmarks.md.
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { fieldManager } from '../../src/controller/children/names.ts';
import { kubeMetrics } from '../../src/controller/kube/base/metrics.ts';
import type { KubeObject, Resource } from '../../src/controller/kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from '../../src/controller/kube/base/resources.ts';
import { createKubeClient, type Kube } from '../../src/controller/kube/rest/kube.ts';
import { createTransport } from '../../src/controller/kube/rest/transport.ts';
import { silentLog } from '../../src/process/log.ts';
import { createRegistry } from '../../src/process/metrics.ts';
import { CageWorld, type Loose } from '../integration/helm/cage-world.ts';
import { namespace } from '../integration/helm/chart.ts';
import { kubeConfigOf } from '../integration/helm/own-controller.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '300' } } });
const rounds = Number(values.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1');

/** The most that the policies may add to the 99th percentile, in milliseconds. */
const budgetMs = 20;
const warmUp = 20;

const resources: readonly Resource[] = [serviceAccounts, networkPolicies, services, deployments, podDisruptionBudgets];
const who = ['judged', 'free'] as const;

/** The same rights for an account that no policy is about. */
const free = (account: string): object[] => [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: account },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'portforward-system-portforward' },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
  },
];

const world = await CageWorld.start();
const closing: (() => Promise<void>)[] = [() => world.stop()];
try {
  await world.apply({ apiVersion: 'v1', kind: 'List', items: free('free') });
  for (const object of world.children()) await world.write(object);
  const clients = { judged: await client('portforward'), free: await client('free') };
  const times = new Map<string, number[]>();
  for (let round = -warmUp; round < rounds; round += 1) {
    for (const resource of resources) {
      for (const name of round % 2 === 0 ? who : who.toReversed()) {
        const object = changed(world.child(resource.kind), `${round} ${name}`);
        const took = await timed(clients[name], resource, object);
        for (const key of [`${resource.kind} ${name}`, `all ${name}`]) {
          if (round >= 0) times.set(key, [...(times.get(key) ?? []), took]);
        }
      }
    }
  }
  print(times);
} finally {
  for (const close of closing.toReversed()) await close();
}

async function client(account: string): Promise<Kube> {
  const config = await kubeConfigOf(world.server, namespace, account);
  const log = silentLog();
  const transport = createTransport({ config, userAgent: 'bench', metrics: kubeMetrics(createRegistry()), log });
  closing.push(() => transport.close());
  return createKubeClient(transport);
}

/** As after an edit: the API server has something to store each time. */
function changed(object: Loose, applied: string): KubeObject {
  object['metadata'].annotations['portforward.dev/applied'] = applied;
  return object as unknown as KubeObject;
}

async function timed(kube: Kube, resource: Resource, object: KubeObject): Promise<number> {
  const started = performance.now();
  await kube.apply(resource, object, { signal: new AbortController().signal, fieldManager });
  return performance.now() - started;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function print(times: ReadonlyMap<string, readonly number[]>): void {
  const rows = [...resources.map(({ kind }) => kind), 'all'].map((kind) => {
    const row: Record<string, string> = { object: kind };
    for (const [label, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const [judged = Number.NaN, without = Number.NaN] = who.map((name) =>
        percentile(
          (times.get(`${kind} ${name}`) ?? []).toSorted((a, b) => a - b),
          share,
        ),
      );
      row[`${label} with`] = judged.toFixed(1);
      row[`${label} without`] = without.toFixed(1);
      row[`${label} more`] = (judged - without).toFixed(1);
    }
    return row;
  });
  console.table(rows);
  const more = Number(rows.at(-1)?.['p99 more']);
  console.log(
    `${rounds} rounds, milliseconds; budget: at most ${budgetMs} ms more at p99: ${more <= budgetMs ? 'met' : 'NOT MET'}`,
  );
  if (more > budgetMs) process.exitCode = 1;
}
