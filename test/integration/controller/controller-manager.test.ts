// With the real controllers of Kubernetes beside ours: Deployment, ReplicaSet, quota and garbage collector do their part, a kubelet does not.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cachedProgram } from '../../../lab/base/places.ts';
import { Child } from '../../../lab/process/child.ts';
import { ensurePrograms } from '../../../lab/programs/programs.ts';
import { portForwards } from '../../../src/controller/base/portforward.ts';
import { ordersDb, Unmet, World } from './world.ts';

const controllers = [
  'deployment-controller',
  'replicaset-controller',
  'garbage-collector-controller',
  'resourcequota-controller',
  'namespace-controller',
];

let world: World;
let manager: Child;

before(async () => {
  await ensurePrograms(['kube-controller-manager'], { log: (line) => process.stderr.write(`${line}\n`) });
  world = await World.start();
  manager = new Child('kube-controller-manager', cachedProgram('kube-controller-manager'), [
    `--kubeconfig=${world.server.kubeconfig}`,
    `--controllers=${controllers.join(',')}`,
    '--leader-elect=false',
    '--secure-port=0',
  ]);
  await world.controller();
});

after(async () => {
  await manager.kill();
  await world[Symbol.asyncDispose]();
});

const everything =
  'deployments,replicasets,pods,services,serviceaccounts,networkpolicies,poddisruptionbudgets,portforwards';

/** What is in a namespace, as kubectl names it. */
async function objectsOf(namespace: string): Promise<string[]> {
  const text = await world.server.kubectl(['get', everything, '-n', namespace, '-o', 'name']);
  return text.split('\n').filter((line) => line !== '');
}

async function pods(namespace: string): Promise<string[]> {
  return (await objectsOf(namespace)).filter((name) => name.startsWith('pod/'));
}

test('deleting a PortForward leaves nothing behind', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2 }));
  await world.until('two pods', async () => (await pods(namespace)).length === 2);
  await world.delete(portForwards, namespace, 'orders-db');
  await world.until('nothing is left', async () => {
    // The API server lets pods that no kubelet ever saw go at once.
    const left = await objectsOf(namespace);
    return left.length === 0 ? true : new Unmet(left);
  });
});

test('a PortForward that is deleted and made again at once gets its objects within seconds', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.until('a pod', async () => (await pods(namespace)).length === 1);
  await world.delete(portForwards, namespace, 'orders-db');
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  await world.until('a pod of the new one', async () => {
    const names = await pods(namespace);
    return names.length === 1 ? true : new Unmet(names);
  });
});

test('pods that a quota refuses are told about, and made soon after it was lifted', async () => {
  const namespace = await world.namespace();
  await world.server.kubectl(['create', 'quota', 'none', '--hard=pods=0', '-n', namespace]);
  await world.until('the quota is counted', async () => {
    const text = await world.server.kubectl([
      'get',
      'quota',
      'none',
      '-n',
      namespace,
      '-o',
      'jsonpath={.status.hard.pods}',
    ]);
    return text === '0';
  });
  await world.apply(namespace, 'orders-db', ordersDb());
  const ready = await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'QuotaExceeded' });
  assert.match(ready.message, /none/);
  await world.server.kubectl(['delete', 'quota', 'none', '-n', namespace]);
  await world.until('a pod', async () => (await pods(namespace)).length === 1);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'PodStarting' });
});

test('a namespace that enforces Pod Security restricted takes the pods', async () => {
  const namespace = await world.namespace();
  await world.server.kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted']);
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.until('a pod', async () => (await pods(namespace)).length === 1);
});

test('a namespace can be deleted with its tunnels', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.until('a pod', async () => (await pods(namespace)).length === 1);
  await world.server.kubectl(['delete', 'namespace', namespace, '--timeout=60s']);
});

test('a rollout replaces the pod one by one and ends in a status without Reconciling', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.until('a pod', async () => (await pods(namespace)).length === 1);
  await world.apply(namespace, 'orders-db', ordersDb({ connection: { maxConnections: 5 } }));
  // Never ready, so the old one need not be kept, yet the new one comes first.
  await world.until('the new pod', async () => (await pods(namespace)).length === 2);
  const status = await world.status(namespace, 'orders-db');
  assert.equal(status.conditions?.find(({ type }) => type === 'Reconciling')?.status, 'True');
});
