// Whole passes over caches and an API server in memory: what is tried, told and held back when not all of it succeeds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredPortForward } from '../../../src/controller/base/portforward.ts';
import { appliedAnnotation, templateAnnotation } from '../../../src/controller/children/names.ts';
import { type ChildAccess, EnsureChildren, ownerIndex } from '../../../src/controller/ensure-children.ts';
import { Applier } from '../../../src/controller/kube/apply/apply.ts';
import { ApiError } from '../../../src/controller/kube/base/api-error.ts';
import {
  controllerOf,
  type KubeObject,
  keyOf,
  type ObjectName,
  type Resource,
} from '../../../src/controller/kube/base/object.ts';
import {
  type Deployment,
  deployments,
  type NetworkPolicy,
  networkPolicies,
  type Pod,
  podDisruptionBudgets,
  type Service,
  serviceAccounts,
  services,
} from '../../../src/controller/kube/base/resources.ts';
import { ReadYourWrites } from '../../../src/controller/kube/cache/read-your-writes.ts';
import { Store } from '../../../src/controller/kube/cache/store.ts';
import type { EventInput } from '../../../src/controller/kube/events/events.ts';
import { LeadershipLost } from '../../../src/controller/kube/leaderelection/elector.ts';
import type { Kube } from '../../../src/controller/kube/rest/kube.ts';
import { PolicyGrace } from '../../../src/controller/policy-grace.ts';
import { reconciler } from '../../../src/controller/reconcile.ts';
import { RefusalRetry } from '../../../src/controller/refusal-retry.ts';
import { RolloutLimiter } from '../../../src/controller/rollout-limiter.ts';
import type { Reading } from '../../../src/controller/status/observed-tunnel.ts';
import { StatusWriter } from '../../../src/controller/status-writer.ts';
import { silentLog } from '../../../src/process/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { portForward, tunnelSettings } from './portforwards.ts';
import { carrying, pod, readyStatus } from './status/observed.ts';

const key = 'shop/orders-db';

/** One PortForward with its controller; the API server answers what it is asked with an error where `failures` has one for it. */
function rig(spec: Parameters<typeof portForward>[0] = {}) {
  let stored: StoredPortForward = { ...portForward(spec), status: { observedGeneration: -1 } };
  const stores = new Map<string, Store<KubeObject>>();
  const asked: string[] = [];
  const failures = new Map<string, Error>();
  const events: EventInput[] = [];
  let pods: Pod[] = [];
  const readings = new Map<string, Reading>();
  const due = new Set<string>();
  let count = 100;
  const clock = new FakeClock();

  const ask = (verb: string, { kind }: Resource): Store<KubeObject> => {
    const what = `${verb} ${kind}`;
    asked.push(what);
    const failure = failures.get(what);
    if (failure !== undefined) throw failure;
    return stores.get(kind) ?? assert.fail(kind);
  };
  const put = (store: Store<KubeObject>, object: KubeObject): KubeObject => {
    const key = keyOf(object.metadata);
    const before = store.get(key);
    count += 1;
    const { uid = `uid-${count}`, generation = 0 } = before?.metadata ?? {};
    const metadata = { ...object.metadata, uid, generation: generation + 1, resourceVersion: String(count) };
    const now = { ...before, ...object, metadata };
    store.set(key, now);
    return now;
  };
  const kube = {
    get: async () => undefined,
    apply: async (resource: Resource, body: KubeObject) => put(ask('apply', resource), body),
    mergePatch: async (resource: Resource, name: ObjectName, patch: { readonly spec: object }) => {
      const store = ask('merge', resource);
      const live = store.get(keyOf(name)) as Service;
      return put(store, { ...live, spec: { ...live.spec, ...patch.spec } } as KubeObject);
    },
    delete: async (resource: Resource, name: ObjectName) => ask('delete', resource).delete(keyOf(name)) !== undefined,
    applyStatus: async (_: unknown, { status }: StoredPortForward) => {
      asked.push('status');
      stored = { ...stored, ...(status && { status }) };
      return stored;
    },
  } as unknown as Kube;

  const access = <T extends KubeObject>(resource: Resource<T>): ChildAccess<T> => {
    const store = new Store<T>();
    store.addIndex(ownerIndex, (object) => [controllerOf(object)?.uid ?? '']);
    stores.set(resource.kind, store as unknown as Store<KubeObject>);
    return {
      store,
      applier: new Applier({ kube, resource, store, fieldManager: 'me', hashAnnotation: appliedAnnotation }),
    };
  };
  const children = new EnsureChildren(
    {
      serviceAccount: access(serviceAccounts),
      networkPolicy: access(networkPolicies),
      service: access(services),
      deployment: access(deployments),
      podDisruptionBudget: access(podDisruptionBudgets),
    },
    new RolloutLimiter({ perMinute: 60 }),
    new PolicyGrace('portforward-system-portforward', clock),
  );
  const reconcile = reconciler({
    settings: { className: '', tunnel: tunnelSettings() },
    portForwards: { get: () => stored },
    podsOf: () => pods,
    children,
    reader: {
      reading: ({ metadata }) => readings.get(metadata.name),
      isAwaited: ({ metadata }) => due.has(metadata.name),
    },
    statusWriter: new StatusWriter({
      kube,
      latest: new ReadYourWrites(new Store<StoredPortForward>()),
      events: { record: (event) => void events.push(event) },
      pauses: { startMs: 0, detailsMs: 0, wordingMs: 0 },
    }),
    refusals: new RefusalRetry(kube),
    otherInstall: { keeps: () => false },
    forget: () => undefined,
  });

  return {
    asked,
    failures,
    events,
    readings,
    due,
    /** @throws what was not done. */
    pass: async () => {
      const { failure, ...result } = await reconcile(key, { signal: new AbortController().signal, log: silentLog() });
      if (failure !== undefined) throw failure;
      return result;
    },
    result: () => reconcile(key, { signal: new AbortController().signal, log: silentLog() }),
    edit: (more: typeof spec) => {
      const { spec: edited, metadata } = portForward(more, { generation: (stored.metadata.generation ?? 0) + 1 });
      stored = { ...stored, metadata, spec: edited };
    },
    /** As an operator finds it that is stricter than the one before. */
    spoil: () => {
      stored = { ...stored, spec: {} };
    },
    runs: (...names: string[]) => {
      pods = names.map((name) => pod(readyStatus, name));
      for (const name of names) readings.set(name, { status: carrying, unreadable: undefined });
    },
    names: (kind: string) => [...(stores.get(kind)?.values() ?? [])].map(({ metadata }) => metadata.name),
    /** That pod was made from the template of the present Deployment. */
    madeFromPresent: (name: string) => {
      const live = stores.get('Deployment')?.get('shop/pf-orders-db') as Deployment;
      const template = live.spec?.template.metadata?.annotations?.[templateAnnotation];
      pods = pods.map((each) => (each.metadata.name === name ? pod(readyStatus, name, template) : each));
    },
    service: () => stores.get('Service')?.get(key) as Service | undefined,
    policy: () => stores.get('NetworkPolicy')?.get('shop/pf-orders-db') as NetworkPolicy | undefined,
    deployment: () => stores.get('Deployment')?.get('shop/pf-orders-db') as Deployment | undefined,
    vanish: (kind: string) => stores.get(kind)?.delete('shop/pf-orders-db'),
    /** What Kubernetes says of the Deployment; the generation is the present one. */
    rolledOut: (status: NonNullable<Deployment['status']>) => {
      const live = stores.get('Deployment')?.get('shop/pf-orders-db') as Deployment;
      const observedGeneration = live.metadata.generation ?? 0;
      stores
        .get('Deployment')
        ?.set('shop/pf-orders-db', { ...live, status: { observedGeneration, ...status } } as KubeObject);
    },
    condition: (type: string) => {
      const found = stored.status?.conditions?.find((each) => each.type === type);
      return found && `${found.status} ${found.reason}`;
    },
    message: (type: string) => stored.status?.conditions?.find((each) => each.type === type)?.message ?? '',
    wait: (ms: number) => clock.advance(ms),
    observedGeneration: () => stored.status?.observedGeneration,
  };
}

const failing = (status: number, message: string): ApiError => new ApiError('PATCH /x', status, { message });

test('one object that the API server fails to write keeps no other from being tried, and the status from being told', async () => {
  const world = rig();
  world.failures.set('apply Service', failing(500, 'failed calling webhook "w"'));
  await assert.rejects(world.pass(), /failed calling webhook/);
  assert.deepEqual(world.names('Deployment'), ['pf-orders-db']);
  assert.deepEqual(world.names('PodDisruptionBudget'), ['pf-orders-db']);
  assert.equal(world.observedGeneration(), 3);
  assert.equal(world.condition('Programmed'), 'False ApiServerError');
  assert.match(world.message('Programmed'), /^PATCH \/x: failed calling webhook "w"\. Read the message/);
  world.failures.clear();
  await world.pass();
  assert.equal(world.condition('Programmed'), 'True Programmed');
});

test('a tunnel that is down is told of although nothing can be written at all, with its own reason', async () => {
  const world = rig();
  world.runs('a');
  await world.pass();
  world.rolledOut({ replicas: 1, updatedReplicas: 1 });
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  world.runs();
  world.failures.set('apply Service', failing(429, 'too many requests'));
  await assert.rejects(world.pass(), /too many requests/);
  assert.equal(world.condition('Programmed'), 'False ApiServerError');
  assert.equal(world.condition('Connected'), 'False PodStarting');
  assert.equal(world.condition('Ready'), 'False PodStarting');
});

test('what must be checked again in time is, although an object cannot be written', async () => {
  const world = rig();
  world.failures.set('apply Service', failing(500, 'no'));
  world.failures.set('apply PodDisruptionBudget', failing(403, 'poddisruptionbudgets is forbidden'));
  const { failure, requeueAfterMs } = await world.result();
  assert.match(String(failure), /no/);
  assert.equal(requeueAfterMs, 30_000);
});

test('while the ServiceAccount cannot be written, pods can still be suspended', async () => {
  const world = rig();
  await world.pass();
  world.vanish('ServiceAccount');
  world.failures.set('apply ServiceAccount', failing(500, 'no'));
  world.edit({ suspend: true, ports: [{ port: 5433 }] });
  await assert.rejects(world.pass(), /no/);
  assert.equal(world.deployment()?.spec?.replicas, 0);
  world.edit({ ports: [{ port: 5433 }] });
  await assert.rejects(world.pass(), /no/);
  assert.equal(world.deployment()?.spec?.replicas, 0, 'but not resumed');
});

test('an object that changed meanwhile keeps no other from being tried, and there is nothing to tell yet', async () => {
  const world = rig();
  world.failures.set('apply Service', failing(409, 'changed'));
  await assert.rejects(world.pass(), /changed/);
  assert.deepEqual(world.names('Deployment'), ['pf-orders-db']);
  assert.equal(world.observedGeneration(), -1);
});

test('what a person must fix is reported before what passes', async () => {
  const world = rig();
  world.failures.set('apply NetworkPolicy', failing(500, 'no'));
  world.failures.set('apply Service', failing(403, 'services is forbidden'));
  await assert.rejects(world.pass(), /no/);
  assert.equal(world.condition('Programmed'), 'False Forbidden');
});

test('lost leadership and mistakes of ours end the pass at once', async () => {
  for (const error of [new LeadershipLost('somebody else leads'), new TypeError('x is undefined')]) {
    const world = rig();
    world.failures.set('apply NetworkPolicy', error);
    await assert.rejects(world.pass(), error);
    assert.deepEqual(world.asked, ['apply ServiceAccount', 'apply NetworkPolicy']);
  }
});

test('an old object that may not be deleted is told, and one that cannot be just now is tried again', async () => {
  const world = rig({ service: { name: 'old' } });
  await world.pass();
  world.edit({ service: { name: 'new' } });
  world.failures.set('delete Service', failing(403, 'services "old" is forbidden'));
  assert.deepEqual(await world.pass(), { requeueAfterMs: 30_000 });
  assert.equal(world.observedGeneration(), 4);
  assert.equal(world.condition('Programmed'), 'False Forbidden');
  world.failures.set('delete Service', failing(500, 'etcdserver: request timed out'));
  await assert.rejects(world.pass(), /timed out/);
  assert.equal(world.condition('Programmed'), 'False ApiServerError');
  world.failures.clear();
  await world.pass();
  assert.deepEqual(world.names('Service'), ['new']);
});

test('pods are not made before the ServiceAccount whose identity they get', async () => {
  const world = rig();
  world.failures.set('apply ServiceAccount', failing(500, 'no'));
  await assert.rejects(world.pass(), /no/);
  assert.deepEqual(world.names('Deployment'), []);
  assert.deepEqual(world.names('Service'), ['orders-db']);
});

test('the first pods are not made before the NetworkPolicy that guards them; those that run follow the document', async () => {
  const world = rig();
  world.failures.set('apply NetworkPolicy', failing(500, 'no'));
  await assert.rejects(world.pass(), /no/);
  assert.deepEqual(world.names('Deployment'), []);
  assert.equal(world.condition('Programmed'), 'False ApiServerError');
  world.failures.clear();
  await world.pass();
  assert.deepEqual(world.names('Deployment'), ['pf-orders-db']);
  world.failures.set('apply NetworkPolicy', failing(500, 'no'));
  world.edit({ replicas: 3, access: { from: [{ podSelector: { matchLabels: { app: 'shop' } } }] } });
  await assert.rejects(world.pass(), /no/);
  assert.equal(world.deployment()?.spec?.replicas, 3);
});

test('the own ServiceAccount stays until no pod runs as it', async () => {
  const world = rig();
  await world.pass();
  world.rolledOut({ replicas: 2, updatedReplicas: 2 });
  world.edit({ pod: { serviceAccountName: 'mine' } });
  world.failures.set('apply Deployment', failing(500, 'no'));
  await assert.rejects(world.pass(), /no/);
  assert.deepEqual(world.names('ServiceAccount'), ['pf-orders-db'], 'the Deployment is not written yet');
  world.failures.clear();
  await world.pass();
  assert.deepEqual(world.names('ServiceAccount'), ['pf-orders-db'], 'nobody has looked at it yet');
  world.rolledOut({ replicas: 3, updatedReplicas: 1 });
  await world.pass();
  assert.deepEqual(world.names('ServiceAccount'), ['pf-orders-db'], 'older pods run');
  world.rolledOut({ replicas: 2, updatedReplicas: 2 });
  await world.pass();
  assert.deepEqual(world.names('ServiceAccount'), []);
});

test('when the ready pods were replaced, what was known is kept until one of the new ones is heard', async () => {
  const world = rig({ replicas: 1 });
  world.runs('a');
  await world.pass();
  world.rolledOut({ replicas: 1, updatedReplicas: 1 });
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  world.runs('b');
  world.readings.set('b', {
    status: { ...carrying, ports: [{ name: 'postgres', reachable: null }] },
    unreadable: undefined,
  });
  world.due.add('b');
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  world.runs('b');
  world.due.clear();
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  assert.deepEqual(
    world.events.map(({ reason }) => reason),
    ['Ready'],
  );
});

test('an edit that meets a change of the leader changes no status before the pods have answered', async () => {
  const world = rig({ replicas: 1 });
  world.runs('a');
  await world.pass();
  world.rolledOut({ replicas: 1, updatedReplicas: 1 });
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  world.readings.clear();
  world.edit({ replicas: 2 });
  await world.pass();
  assert.equal(world.deployment()?.spec?.replicas, 2, 'the edit itself does not wait');
  assert.equal(world.condition('Ready'), 'True Ready');
  world.runs('a');
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  assert.equal(world.observedGeneration(), 4);
  assert.deepEqual(
    world.events.map(({ reason }) => reason),
    ['Ready'],
  );
});

test('a port edit keeps the old port until a pod of the new template is ready', async () => {
  const world = rig({ replicas: 1 });
  const port = (number: number, more: object = {}) => ({
    ports: [{ port: number, destinationHost: 'orders.db.internal', destinationPort: 5432, ...more }],
    replicas: 1,
  });
  const served = () => world.service()?.spec?.ports?.map((each) => `${each.port} ${each.name} ${each.targetPort}`);
  world.edit(port(5432, { name: 'postgres' }));
  world.runs('old');
  await world.pass();
  world.edit(port(6432, { name: 'postgres' }));
  await world.pass();
  assert.deepEqual(served(), ['5432 former-5432 postgres', '6432 postgres postgres'], 'another number');
  await world.pass();
  assert.deepEqual(served()?.length, 2, 'and in the next pass');
  world.runs('old', 'new');
  world.madeFromPresent('new');
  await world.pass();
  assert.deepEqual(served(), ['6432 postgres postgres']);
});

test('a port edit without names keeps the old port, and admits its clients', async () => {
  const world = rig({ replicas: 1, ports: [{ port: 5432, destinationHost: 'orders.db.internal' }] });
  world.runs('old');
  await world.pass();
  world.edit({ replicas: 1, ports: [{ port: 6432, destinationHost: 'orders.db.internal' }] });
  await world.pass();
  assert.deepEqual(
    world.service()?.spec?.ports?.map((each) => `${each.port} ${each.targetPort}`),
    ['5432 p5432', '6432 p6432'],
  );
  assert.deepEqual(
    world.policy()?.spec?.ingress?.[0]?.ports?.map((each) => each.port),
    ['p6432', 'p5432'],
  );
});

test('an old port is not kept where it would lead to another destination, nor when no pod is ready', async () => {
  const world = rig({ replicas: 1 });
  const ports = () => world.service()?.spec?.ports?.map((each) => each.port);
  world.runs('old');
  await world.pass();
  world.edit({ replicas: 1, ports: [{ port: 6432, name: 'postgres', destinationHost: 'other.db.internal' }] });
  await world.pass();
  assert.deepEqual(ports(), [6432]);
  world.edit({ replicas: 1, ports: [{ port: 7432, name: 'postgres', destinationHost: 'other.db.internal' }] });
  world.runs();
  await world.pass();
  assert.deepEqual(ports(), [7432]);
});

test('the first status waits for what the ready pods are about to say', async () => {
  const world = rig();
  world.runs('a', 'b');
  world.due.add('a');
  world.due.add('b');
  await world.pass();
  assert.equal(world.observedGeneration(), -1);
  world.due.delete('a');
  await world.pass();
  assert.equal(world.condition('Connected'), 'True Connected');
});

test('a tunnel that was not ready is told of at once', async () => {
  const world = rig({ replicas: 1 });
  await world.pass();
  assert.equal(world.condition('Ready'), 'False PodStarting');
  world.runs('a');
  world.due.add('a');
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
});

test('while its document is refused, a Service still leads to pods that are not ready when there are no others', async () => {
  const world = rig();
  world.runs('a');
  await world.pass();
  assert.equal(world.service()?.spec?.publishNotReadyAddresses, false);
  world.spoil();
  await world.pass();
  assert.equal(world.condition('Accepted'), 'False InvalidSpec');
  assert.ok(!world.asked.includes('merge Service'), 'nothing to do');
  world.runs();
  await world.pass();
  assert.equal(world.service()?.spec?.publishNotReadyAddresses, true);
  assert.deepEqual(
    world.service()?.spec?.ports?.map(({ port }) => port),
    [5432],
    'the rest is as it was',
  );
  world.runs('a');
  await world.pass();
  assert.equal(world.service()?.spec?.publishNotReadyAddresses, false);
});

test('that its document is refused is told although the Service cannot be written', async () => {
  const world = rig();
  world.runs('a');
  await world.pass();
  world.spoil();
  world.runs();
  world.failures.set('merge Service', failing(500, 'no'));
  await assert.rejects(world.pass(), /no/);
  assert.equal(world.condition('Accepted'), 'False InvalidSpec');
});

const ownPolicy = failing(
  403,
  "deployments.apps \"pf-orders-db\" is forbidden: ValidatingAdmissionPolicy 'portforward-system-portforward-pods' with binding 'portforward-system-portforward-pods' denied request: a tunnel pod runs the image x",
);

test('while the install’s own policies refuse, for 120 s at most, nothing is told and it is tried every 5 s', async () => {
  const world = rig();
  world.failures.set('apply Deployment', ownPolicy);
  for (let passed = 0; passed < 120; passed += 5) {
    assert.deepEqual(await world.pass(), { requeueAfterMs: 5_000 });
    assert.equal(world.condition('Programmed'), undefined);
    await world.wait(5_000);
  }
  assert.equal(world.observedGeneration(), -1);
  await world.pass();
  assert.equal(world.condition('Programmed'), 'False Forbidden');
  assert.match(world.message('Programmed'), /runs the image x/);
  await world.pass();
  assert.equal(world.condition('Programmed'), 'False Forbidden', 'and it stays');
  world.failures.clear();
  await world.pass();
  assert.equal(world.condition('Programmed'), 'True Programmed');
  world.failures.set('apply Service', ownPolicy);
  world.edit({ ports: [{ port: 5433 }] });
  await world.pass();
  assert.equal(world.condition('Programmed'), 'True Programmed', 'the next refusal starts anew');
  assert.equal(world.observedGeneration(), 3);
});

test('a tunnel that was written stays as it is told, and its pods go on to be, while the policies refuse a rewrite', async () => {
  const world = rig();
  world.runs('a');
  await world.pass();
  world.rolledOut({ replicas: 1, updatedReplicas: 1 });
  await world.pass();
  assert.equal(world.condition('Ready'), 'True Ready');
  world.vanish('NetworkPolicy');
  world.failures.set('apply NetworkPolicy', ownPolicy);
  assert.deepEqual(await world.pass(), { requeueAfterMs: 5_000 });
  assert.deepEqual([world.condition('Programmed'), world.condition('Ready')], ['True Programmed', 'True Ready']);
  world.runs();
  await world.pass();
  assert.deepEqual([world.condition('Programmed'), world.condition('Ready')], ['True Programmed', 'False PodStarting']);
  assert.ok(!JSON.stringify(world.events).includes('Forbidden'), JSON.stringify(world.events));
});

test('what else is wrong is told meanwhile; the policies of others are told at once', async () => {
  const world = rig();
  world.failures.set('apply Deployment', ownPolicy);
  world.failures.set('apply Service', failing(403, 'services "x" is forbidden: exceeded quota: q'));
  await world.pass();
  assert.equal(world.condition('Programmed'), 'False QuotaExceeded');
  const other = rig();
  other.failures.set(
    'apply Deployment',
    failing(403, "x is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'labels' denied request: no team"),
  );
  await other.pass();
  assert.equal(other.condition('Programmed'), 'False Forbidden');
});
