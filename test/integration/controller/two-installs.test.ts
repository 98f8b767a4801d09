// Two installs of one class against a real API server: the second writes nothing but an Event, and takes over only what carries no mark.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deployments, events, networkPolicies, services } from '../../../src/controller/kube/base/resources.ts';
import { ordersDb, type RunningController, Unmet, World } from './world.ts';

const mark = 'portforward.dev/install';

let world: World;
let first: RunningController;
let second: RunningController;
let namespace: string;

before(async () => {
  world = await World.start();
  namespace = await world.namespace();
  await world.server.kubectl(['create', 'namespace', 'team-b']);
  first = await world.controller(['--lease-name=portforward']);
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
});

after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const generation = async (): Promise<number | undefined> =>
  (await world.get(deployments, namespace, 'pf-orders-db'))?.metadata.generation;
const markOf = async (): Promise<string | undefined> =>
  (await world.get(deployments, namespace, 'pf-orders-db'))?.metadata.annotations?.[mark];
const writesBesideEvents = (controller: RunningController): readonly string[] =>
  controller
    .writes()
    .filter(({ path }) => !path.startsWith('/apis/events.k8s.io/'))
    .map(({ method, path }) => `${method} ${path}`);

test('the second install writes nothing, and names the first in an Event', async () => {
  const before = await generation();
  // Other settings: each install would write every object anew.
  second = await world.controller([
    '--lease-name=portforward',
    '--operator-namespace=team-b',
    '--tunnel-log-level=debug',
  ]);
  const told = await world.until('the second install reports the first', async () => {
    const all = await world.list(events, namespace);
    return all.find(({ reason }) => reason === 'ResourceConflict') ?? new Unmet(all.map(({ note }) => note));
  });
  assert.equal(told.type, 'Warning');
  assert.match(
    told.note ?? '',
    /the install operator\/portforward keeps the objects of this PortForward; team-b\/portforward/,
  );
  // What would make it write: an edit, a change by somebody else, a lost object, a refused document.
  await world.delete(networkPolicies, namespace, 'pf-orders-db');
  await world.until('the first restores the NetworkPolicy', () =>
    world.get(networkPolicies, namespace, 'pf-orders-db'),
  );
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 3 }));
  await world.until('the first follows an edit', async () => {
    const live = await world.get(deployments, namespace, 'pf-orders-db');
    return live?.spec?.replicas === 3;
  });
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 3, service: { type: 'LoadBalancer' } }));
  await world.condition(namespace, 'orders-db', 'Accepted', { reason: 'ServiceTypeNotAllowed' });
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Accepted', { status: 'True' });
  await Promise.all([world.quiet(first), world.quiet(second)]);
  assert.deepEqual(writesBesideEvents(second), []);
  assert.ok(((await generation()) ?? 99) - (before ?? 0) <= 2, 'the Deployment changed with the edits alone');
  assert.equal(await markOf(), 'operator/portforward');
});

test('an install that has gone is followed once its mark is taken away', async () => {
  await first.stop();
  const live = await world.service(namespace, 'orders-db');
  await world.server.kubectl([
    'annotate',
    'deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets',
    '--all-namespaces',
    '--selector=app.kubernetes.io/managed-by=portforward-operator',
    `${mark}-`,
  ]);
  await world.until('the second has taken over', async () => (await markOf()) === 'team-b/portforward');
  await world.quiet(second);
  const taken = await world.get(services, namespace, 'orders-db');
  assert.equal(taken?.metadata.annotations?.[mark], 'team-b/portforward');
  assert.equal(taken?.metadata.uid, live?.metadata.uid, 'kept, not made again');
});
