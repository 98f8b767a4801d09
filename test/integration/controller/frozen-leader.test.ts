// Two whole controllers as processes, each behind a proxy that sees what it asks: a leader that was frozen amid a pass writes nothing once
// its lease has run out, one that is killed amid a pass leaves nothing that is written twice, one that is asked to stop hands over at once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Child } from '../../../lab/process/child.ts';
import { portForwards } from '../../../src/controller/base/portforward.ts';
import type { Resource } from '../../../src/controller/kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from '../../../src/controller/kube/base/resources.ts';
import { type Asked, FaultyProxy } from './faulty-proxy.ts';
import { ordersDb, World } from './world.ts';

const main = join(import.meta.dirname, '../../../src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'portforward-frozen-'));

let world: World;

before(async () => {
  world = await World.start();
});

after(async () => {
  await world?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Replica extends AsyncDisposable {
  readonly process: Child;
  readonly proxy: FaultyProxy;
}

/** With the others of that namespace it competes for the namespace's Lease, and it works there alone. */
async function replica(name: string, namespace: string): Promise<Replica> {
  const proxy = await FaultyProxy.start(world.server);
  const kubeconfig = join(folder, `${namespace}-${name}`);
  proxy.writeKubeconfig(kubeconfig);
  const process = new Child(name, globalThis.process.execPath, [
    main,
    'controller',
    `--kubeconfig=${kubeconfig}`,
    '--tunnel-image=registry.example/portforward:test',
    `--operator-namespace=${namespace}`,
    `--watch-namespaces=${namespace}`,
    `--pod-name=${name}`,
    '--admin-port=0',
  ]);
  return {
    process,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await process.kill();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

const isWrite = ({ method }: Asked): boolean => method !== 'GET';

const spec = (port: number) => ({
  ...ordersDb(),
  ports: [{ port: 5432, name: 'postgres', destinationHost: 'orders.db.internal', destinationPort: port }],
});

/** Edits the document, and gives the seconds until its Deployment has the edit. */
async function edited(namespace: string, port: number): Promise<number> {
  const started = performance.now();
  await world.apply(namespace, 'orders-db', spec(port));
  await world.until(`the Deployment leads to ${port}`, async () => {
    const deployment = await world.get(deployments, namespace, 'pf-orders-db');
    return JSON.stringify(deployment?.spec?.template.spec?.containers[0]?.env ?? []).includes(`\\"port\\":${port}`);
  });
  return (performance.now() - started) / 1_000;
}

/** Its caches are filled, or about to be: the leader's end meets a standby. */
async function watches(replica: Replica): Promise<void> {
  await world.until('the standby watches', async () => replica.proxy.take().some(({ isWatch }) => isWatch));
}

const untouched: readonly Resource[] = [services, serviceAccounts, networkPolicies, podDisruptionBudgets];

/** Names and versions of everything of a tunnel but its Deployment, which each edit here changes. */
async function versions(namespace: string): Promise<unknown> {
  const found = await Promise.all(untouched.map((kind) => world.list(kind, namespace)));
  return found.flat().map(({ kind, metadata }) => [kind, metadata.name, metadata.uid, metadata.resourceVersion]);
}

/** Paths that were written, and how often; every one of the writes must have changed the object. */
function timesWritten(...replicas: readonly Replica[]): Record<string, number> {
  const all = replicas.flatMap(({ proxy }) => proxy.written.splice(0));
  const changes = new Set(all.map(({ path, resourceVersion }) => `${path} ${resourceVersion}`));
  assert.equal(changes.size, all.length, `something was written twice: ${JSON.stringify(all, null, 1)}`);
  const byPath = Map.groupBy(all, ({ path }) => path);
  return Object.fromEntries([...byPath].map(([path, writes]) => [path, writes.length]));
}

// Most of it is waiting for a lease to run out.
suite('two controllers', { concurrency: true }, () => {
  test('a leader frozen amid a pass is followed, and writes nothing when it thaws; one that is asked to stop hands over', {
    timeout: 180_000,
  }, async (t) => {
    const namespace = await world.namespace();
    await using first = await replica('first', namespace);
    await edited(namespace, 1_001);
    await using second = await replica('second', namespace);
    await watches(second);

    // The first write of a new document gets no answer: four more are to follow.
    first.proxy.fault = (asked) => (isWrite(asked) && asked.path.includes('/pf-amid') ? { stalls: true } : {});
    await world.apply(namespace, 'amid', spec(1_001));
    await world.until('the leader writes', async () =>
      first.proxy.take().some((asked) => isWrite(asked) && asked.path.includes('/pf-amid')),
    );
    first.process.signal('SIGSTOP');
    t.diagnostic(`frozen: the other acted after ${(await edited(namespace, 1_002)).toFixed(1)} s`);
    await world.condition(namespace, 'amid', 'Programmed', { status: 'True' });
    first.proxy.fault = () => ({});
    first.proxy.take();
    first.process.signal('SIGCONT');
    await world.until('the first ends', async () => first.process.end !== undefined);
    assert.deepEqual(first.proxy.take().filter(isWrite), [], 'it wrote after its lease ran out');
    await edited(namespace, 1_003);

    await using third = await replica('third', namespace);
    await watches(third);
    second.process.signal('SIGTERM');
    t.diagnostic(`stopped: the other acted after ${(await edited(namespace, 1_004)).toFixed(1)} s`);
    await world.until('the second ends', async () => second.process.end !== undefined);
    assert.ok(third.proxy.take().some(isWrite));
  });

  test('after a leader that is killed amid a pass nothing is written twice, and nothing but the edit is written', {
    timeout: 180_000,
  }, async (t) => {
    const namespace = await world.namespace();
    const deployment = `/apis/apps/v1/namespaces/${namespace}/deployments/pf-orders-db`;
    const status = `/apis/portforward.dev/v1alpha1/namespaces/${namespace}/portforwards/orders-db/status`;
    /** The status of the present document is written. */
    const reported = async (): Promise<void> => {
      const stored = await world.get(portForwards, namespace, 'orders-db');
      const { generation } = stored?.metadata ?? {};
      await world.until(`generation ${generation} is programmed`, async () => {
        const { conditions = [] } = await world.status(namespace, 'orders-db');
        return conditions.some(
          (one) => one.type === 'Programmed' && one.status === 'True' && one.observedGeneration === generation,
        );
      });
    };
    await using first = await replica('killed', namespace);
    await edited(namespace, 1_001);
    await reported();
    assert.equal(timesWritten(first)[deployment], 1);
    const before = await versions(namespace);
    await using second = await replica('follower', namespace);
    await watches(second);

    // The server does the write, and the leader dies before it knows.
    first.proxy.fault = ({ path }) => (path === deployment ? { withholds: true } : {});
    await edited(namespace, 1_002);
    first.process.signal('SIGKILL');
    const killed = performance.now();
    await reported();
    t.diagnostic(`killed: the other acted after ${((performance.now() - killed) / 1_000).toFixed(1)} s`);
    const { [deployment]: applied, [status]: told, ...others } = timesWritten(first, second);
    assert.deepEqual({ applied, others }, { applied: 1, others: {} });
    assert.ok(told !== undefined && told >= 1);

    second.process.signal('SIGTERM');
    await world.until('the second ends', async () => second.process.end !== undefined);
    await world.apply(namespace, 'orders-db', spec(1_003));
    assert.deepEqual(await versions(namespace), before, 'while none runs');
    await using third = await replica('next', namespace);
    await reported();
    assert.equal(timesWritten(first, second, third)[deployment], 1);
    assert.deepEqual(await versions(namespace), before);
  });
});
