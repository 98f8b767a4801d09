// Status from pods to conditions against a real API server: what tunnels say, what Kubernetes says, Events, restart.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { portForwards } from '../../../src/controller/base/portforward.ts';
import { assertSome } from '../../support/assert-every.ts';
import { connectedStatus, failedStatus, limit, ordersDb, type RunningController, Unmet, World } from './world.ts';

let world: World;
let controller: RunningController;

before(async () => {
  world = await World.start();
  controller = await world.controller();
});

after(async () => {
  await world[Symbol.asyncDispose]();
});

/** Our own Events. The API server writes some, too: its repair of Service addresses meets a Service that was made just then. */
async function eventsOf(namespace: string): Promise<string[]> {
  const text = await world.server.kubectl([
    'get',
    'events.events.k8s.io',
    '-n',
    namespace,
    '-o',
    'jsonpath={range .items[?(@.reportingController=="portforward.dev/controller")]}{.type} {.reason}{"\\n"}{end}',
  ]);
  return text.trim().split('\n').toSorted();
}

test('a tunnel that becomes ready makes the PortForward ready, and kubectl shows it', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  const pod = await world.pod(namespace, 'orders-db', 'ready-1', false);
  pod.answer = failedStatus('BastionRefused', 'bastion.example.com:22 refuses the connection');
  const lost = await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'BastionRefused' });
  assert.match(lost.message, /^bastion\.example\.com:22 refuses the connection$/);
  await world.condition(namespace, 'orders-db', 'Reconciling', { status: 'True' });
  await world.until('clients reach a pod that tells them why', async () => {
    return (await world.service(namespace, 'orders-db'))?.spec?.publishNotReadyAddresses === true;
  });

  pod.answer = connectedStatus();
  await pod.setReady(true);
  await world.rolledOut(namespace, 'orders-db', 1);
  await world.server.kubectl(['wait', '--for=condition=Ready', 'pf/orders-db', '-n', namespace, '--timeout=60s']);
  await world.until('only ready pods are endpoints', async () => {
    return (await world.service(namespace, 'orders-db'))?.spec?.publishNotReadyAddresses !== true;
  });
  await world.until('the status is complete', async () => {
    const status = await world.status(namespace, 'orders-db');
    return status.replicas === 1 && status.readyReplicas === 1 && status.ports?.[0]?.reachable === true;
  });
  const line = await world.server.kubectl(['get', 'pf', '-n', namespace, '--no-headers']);
  assert.match(line, /orders-db\s+True\s+ssh\s+bastion\.example\.com:22\s+orders-db\.test-\d+\.svc\s+1/);
  await world.until('the Events are there', async () => {
    const events = await eventsOf(namespace);
    return events.includes('Normal Ready') && events.includes('Warning BastionRefused');
  });
});

test('a destination that goes away is told with its reason, and kubectl wait sees it come back', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  const pod = await world.pod(namespace, 'orders-db', 'destination-1');
  await world.rolledOut(namespace, 'orders-db', 1);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  const message = 'orders.db.internal:5432 refuses the connection';
  pod.answer = connectedStatus({
    ports: [{ name: 'postgres', reachable: false, reason: 'DestinationRefused', message }],
  });
  const ready = await world.condition(namespace, 'orders-db', 'Ready', {
    status: 'False',
    reason: 'DestinationRefused',
  });
  assert.match(ready.message, /postgres: orders\.db\.internal:5432 refuses/);
  // The end of the rollout and the answer of the pod are told by different watches.
  const status = await world.until('neither Reconciling nor Stalled', async () => {
    const now = await world.status(namespace, 'orders-db');
    const isNormal = now.conditions?.every(({ type }) => type !== 'Reconciling' && type !== 'Stalled');
    return isNormal === true ? now : new Unmet(now);
  });
  assert.equal(status.ports?.[0]?.reachable, false);
  assert.equal(status.ports?.[0]?.message, message);
  pod.answer = connectedStatus();
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
});

test('an edit of the destination is ready when no pod carries to the former one any more', async () => {
  const namespace = await world.namespace();
  const answer = (host: string) =>
    connectedStatus({ ports: [{ name: 'postgres', destination: `${host}:5432`, reachable: true }] });
  await world.apply(namespace, 'orders-db', ordersDb());
  const former = await world.pod(namespace, 'orders-db', 'former-1', true, answer('orders.db.internal'));
  await world.rolledOut(namespace, 'orders-db', 1);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  await world.quiet(controller);
  const ports = [{ port: 5432, name: 'postgres', destinationHost: 'new.db.internal', appProtocol: 'postgresql' }];
  await world.apply(namespace, 'orders-db', ordersDb({ ports }));
  const waiting = await world.condition(namespace, 'orders-db', 'Ready', { status: 'Unknown', reason: 'NoResultYet' });
  assert.equal(waiting.observedGeneration, 2);
  assert.match(waiting.message, /^postgres: pods still carry to the former orders\.db\.internal:5432\.$/);
  await world.condition(namespace, 'orders-db', 'Reconciling', { status: 'True' });
  await world.pod(namespace, 'orders-db', 'present-1', true, answer('new.db.internal'));
  await world.rolledOut(namespace, 'orders-db', 1, { replicas: 2 });
  await world.until(
    'the new pod is heard',
    async () => (await world.status(namespace, 'orders-db')).readyReplicas === 2,
  );
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'Unknown', reason: 'NoResultYet' });
  await former.remove();
  await world.rolledOut(namespace, 'orders-db', 1);
  const ready = await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  assert.equal(ready.observedGeneration, 2);
  const loss = (await eventsOf(namespace)).filter((event) => event.startsWith('Warning'));
  assert.deepEqual(loss, [], 'an edit is no loss');
});

test('a pod that cannot be asked makes Ready unknown, not false', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  const pod = await world.pod(namespace, 'orders-db', 'silent-1');
  await world.rolledOut(namespace, 'orders-db', 1);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  pod.answer = 503;
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'Unknown', reason: 'StatusUnreadable' });
  await world.condition(namespace, 'orders-db', 'Connected', { status: 'True' });
});

test('what keeps pods from starting is told from Deployment and pods', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  const refused = (message: string) =>
    world.rolledOut(namespace, 'orders-db', 0, {
      conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }],
    });
  await refused(
    'pods "pf-orders-db-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1',
  );
  const quota = await world.condition(namespace, 'orders-db', 'Ready', { reason: 'QuotaExceeded' });
  assert.match(quota.message, /exceeded quota: small/);
  await refused('pods "pf-orders-db-x" is forbidden: violates PodSecurity "restricted:v9.9": something');
  await world.condition(namespace, 'orders-db', 'Ready', { reason: 'PodSecurityViolation' });
  await world.rolledOut(namespace, 'orders-db', 1, { conditions: [] });

  const pod = await world.pod(namespace, 'orders-db', 'starting-1', false);
  await pod.setStatus({
    phase: 'Pending',
    conditions: [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available' },
    ],
  });
  await world.condition(namespace, 'orders-db', 'Ready', { reason: 'Unschedulable' });
  const image = {
    name: 'tunnel',
    image: 'registry.example/portforward:test',
    imageID: '',
    ready: false,
    restartCount: 0,
  };
  await pod.setStatus({
    phase: 'Pending',
    containerStatuses: [{ ...image, state: { waiting: { reason: 'ImagePullBackOff', message: 'not found' } } }],
  });
  const pull = await world.condition(namespace, 'orders-db', 'Ready', { reason: 'ImagePullFailed' });
  assert.match(pull.message, /registry\.example\/portforward:test/);
  const terminated = { exitCode: 137, reason: 'OOMKilled' };
  await pod.setStatus({
    phase: 'Running',
    containerStatuses: [{ ...image, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated } }],
  });
  const failed = await world.condition(namespace, 'orders-db', 'Ready', { reason: 'PodFailed' });
  assert.match(failed.message, /exit code 137 \(OOMKilled\)/);
});

test('a PortForward that is deleted and made again at once starts from nothing', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  await world.delete(portForwards, namespace, 'orders-db');
  await world.apply(namespace, 'orders-db', ordersDb());
  // No garbage collector runs here: the children of the first one stay until they are deleted by hand.
  const programmed = await world.condition(namespace, 'orders-db', 'Programmed', {
    status: 'False',
    reason: 'Progressing',
  });
  assert.match(programmed.message, /an earlier PortForward/);
  for (const kind of ['deployment', 'serviceaccount', 'networkpolicy']) {
    await world.server.kubectl(['delete', kind, 'pf-orders-db', '-n', namespace]);
  }
  await world.server.kubectl(['delete', 'service', 'orders-db', '-n', namespace]);
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
});

test('a PortForward that is being deleted is left alone', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  await world.server.kubectl([
    'patch',
    'pf',
    'orders-db',
    '-n',
    namespace,
    '--type=merge',
    '-p',
    '{"metadata":{"finalizers":["test.example/hold"]}}',
  ]);
  await world.delete(portForwards, namespace, 'orders-db');
  // Two watches: the deletion of the PortForward must be known before that of its Service.
  await world.quiet(controller);
  await world.server.kubectl(['delete', 'service', 'orders-db', '-n', namespace]);
  await world.quiet(controller);
  assert.equal(await world.service(namespace, 'orders-db'), undefined);
  await world.server.kubectl([
    'patch',
    'pf',
    'orders-db',
    '-n',
    namespace,
    '--type=merge',
    '-p',
    '{"metadata":{"finalizers":null}}',
  ]);
});

test('a restart with nothing changed writes nothing, and what was known stays', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.pod(namespace, 'orders-db', 'restart-1');
  await world.rolledOut(namespace, 'orders-db', 1);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  await world.until('the status is complete', async () => (await world.status(namespace, 'orders-db')).replicas === 1);
  await world.quiet(controller);
  const version = async () => (await world.get(portForwards, namespace, 'orders-db'))?.metadata.resourceVersion;
  const before = await version();
  await controller.stop();
  controller = await world.controller();
  await world.quiet(controller);
  assert.deepEqual(controller.writes(), []);
  assert.equal(await version(), before);
});

test('a status that somebody else changes is written again', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  await world.quiet(controller);
  await world.server.kubectl([
    'patch',
    'pf',
    'orders-db',
    '-n',
    namespace,
    '--subresource=status',
    '--type=merge',
    '-p',
    '{"status":{"address":"evil.example"}}',
  ]);
  await world.until('the address is ours again', async () => {
    return (await world.status(namespace, 'orders-db')).address === `orders-db.${namespace}.svc`;
  });
});

test('an upgrade of the operator replaces pods a few at a time, and an edit never waits', async () => {
  const namespace = await world.namespace();
  const names = ['up-1', 'up-2', 'up-3', 'up-4'];
  for (const name of names) await world.apply(namespace, name, ordersDb());
  for (const name of names) await world.condition(namespace, name, 'Programmed', { status: 'True' });
  await world.quiet(controller);
  await controller.stop();
  const started = Date.now();
  controller = await world.controller([
    '--tunnel-image=registry.example/portforward:next',
    '--rollouts-per-minute=1',
    `--watch-namespaces=${namespace}`,
  ]);
  await world.quiet(controller);
  const images = async (): Promise<string[]> => {
    const text = await world.server.kubectl([
      'get',
      'deployments',
      '-n',
      namespace,
      '-o',
      'jsonpath={range .items[*]}{.spec.template.spec.containers[0].image}{"\\n"}{end}',
    ]);
    return text
      .trim()
      .split('\n')
      .map((image) => image.split(':')[1] ?? '');
  };
  const replaced = (await images()).filter((tag) => tag === 'next').length;
  // One at once, then one a minute.
  const allowed = 1 + Math.floor((Date.now() - started) / 60_000);
  assert.ok(replaced >= 1 && replaced <= allowed && replaced < names.length, `${replaced}, of ${allowed}`);
  const page = await (await fetch(`http://127.0.0.1:${controller.adminPort}/metrics`)).text();
  assert.match(/^portforward_rollouts_waiting .*/m.exec(page)?.[0] ?? '', / [1-9]/);
  for (const name of names) {
    await world.apply(namespace, name, ordersDb({ connection: { maxConnections: 7 } }));
  }
  await world.until('all are edited', async () => (await images()).every((tag) => tag === 'next'));
  await controller.stop();
  controller = await world.controller();
});

test('a second controller waits, and takes over within seconds when the first one ends', async () => {
  const namespace = await world.namespace();
  let leads = false;
  const waiting = world.controller().then((running) => {
    leads = true;
    return running;
  });
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  assert.equal(leads, false);
  const started = Date.now();
  await controller.stop();
  controller = await waiting;
  assert.ok(Date.now() - started < 10_000, `took ${Date.now() - started} ms`);
  await world.server.kubectl(['delete', 'service', 'orders-db', '-n', namespace]);
  await world.until('the Service is back', async () => await world.service(namespace, 'orders-db'));
});

test('metrics count PortForwards by driver, readiness and reason, and never by name', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ suspend: true }));
  await world.condition(namespace, 'orders-db', 'Ready', { reason: 'Suspended' });
  await world.quiet(controller);
  const page = await (await fetch(`http://127.0.0.1:${controller.adminPort}/metrics`)).text();
  const own = page.split('\n').filter((line) => line.startsWith('portforward_'));
  assertSome(
    own,
    (line) => /^portforward_resources\{driver="ssh",ready="False",reason="Suspended"\} \d+$/.test(line),
    'a suspended resource is counted',
  );
  assertSome(
    own,
    (line) => /^portforward_statusz_reads_total\{result="success"\} \d+$/.test(line),
    'reads that succeeded are counted',
  );
  assert.ok(!page.includes('orders-db'));
});

test('the two probes answer', async () => {
  for (const path of ['livez', 'readyz']) {
    const answer = await fetch(`http://127.0.0.1:${controller.adminPort}/${path}`, { signal: limit() });
    assert.equal(answer.status, 200, path);
  }
});
