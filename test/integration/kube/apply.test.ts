import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { Applier, needsApply, OwnershipConflict, withAppliedHash } from '../../../src/controller/kube/apply/apply.ts';
import { isConflict, isForbidden, isNotFound } from '../../../src/controller/kube/base/api-error.ts';
import { type KubeObject, keyOf, type Resource } from '../../../src/controller/kube/base/object.ts';
import {
  deployments,
  leases,
  pods,
  type Service,
  serviceAccounts,
  services,
} from '../../../src/controller/kube/base/resources.ts';
import { Reflector } from '../../../src/controller/kube/cache/reflector.ts';
import { Store } from '../../../src/controller/kube/cache/store.ts';
import { childrenIn } from './children.ts';
import { type RealApi, startRealApi } from './real-api.ts';

const hashAnnotation = 'example.dev/hash';
const fieldManager = 'test-operator';
const configMaps: Resource = { group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true };
const secrets: Resource = { ...configMaps, kind: 'Secret', plural: 'secrets' };
const { signal } = new AbortController();
const timeout = 60_000;

let api: RealApi;
before(
  async () => {
    api = await startRealApi();
  },
  { timeout: 600_000 },
);
after(async () => await api[Symbol.asyncDispose]());

/** Any object can own; a ConfigMap needs nothing installed. */
async function ownerIn(namespace: string, name = 'owner'): Promise<KubeObject> {
  const object: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name } };
  return await api.admin.kube.create(configMaps, object, { signal });
}

const applierOf = (resource: Resource, store = new Store<KubeObject>(), kube = api.admin.kube): Applier<KubeObject> =>
  new Applier({ kube, resource, store, fieldManager, hashAnnotation });

function find(namespace: string, kind: string): KubeObject {
  const found = childrenIn(namespace).find(({ resource }) => resource.kind === kind);
  assert.ok(found);
  return found.object;
}

test('every kind that was applied reads back as needing nothing, and a second pass changes nothing', {
  timeout,
}, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  for (const { resource, object } of childrenIn(namespace)) {
    const applier = applierOf(resource);
    const created = await applier.apply(object, owner, signal);
    assert.equal(created.action, 'created', resource.kind);
    const live = await api.admin.kube.get(resource, object.metadata, { signal });
    assert.ok(live);
    assert.equal(
      needsApply(withAppliedHash(object, owner, hashAnnotation), live, hashAnnotation),
      false,
      `${resource.kind} ${JSON.stringify(live)}`,
    );
    assert.equal((await applier.apply(object, owner, signal)).action, 'unchanged', resource.kind);
    // Not even an apply of the same changes the version, so no watch echoes it.
    const again = await api.admin.kube.apply(resource, withAppliedHash(object, owner, hashAnnotation), {
      signal,
      fieldManager,
    });
    assert.equal(again.metadata.resourceVersion, live.metadata.resourceVersion, resource.kind);
  }
  assert.equal(api.admin.lines.filter(({ msg }) => msg === 'the API server warns').length, 0, 'no Warning header');
});

test('drift of each kind is seen and repaired', { timeout }, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  const edits: Record<string, object> = {
    Deployment: { spec: { replicas: 7, template: { spec: { automountServiceAccountToken: true } } } },
    Service: { spec: { selector: { more: 'labels' } } },
    ServiceAccount: { automountServiceAccountToken: true },
    NetworkPolicy: { spec: { ingress: [{ from: [{ podSelector: {}, namespaceSelector: {} }] }] } },
    PodDisruptionBudget: { spec: { maxUnavailable: '50%' } },
  };
  for (const { resource, object } of childrenIn(namespace)) {
    const store = new Store<KubeObject>();
    const applier = applierOf(resource, store);
    await applier.apply(object, owner, signal);
    const drifted = await api.admin.kube.mergePatch(resource, object.metadata, edits[resource.kind], { signal });
    store.set(keyOf(object.metadata), drifted);
    assert.equal((await applier.apply(object, owner, signal)).action, 'updated', resource.kind);
    const live = await api.admin.kube.get(resource, object.metadata, { signal });
    assert.ok(live);
    assert.equal(
      needsApply(withAppliedHash(object, owner, hashAnnotation), live, hashAnnotation),
      false,
      resource.kind,
    );
  }
});

test('a changed key of a list entry is put back, and nobody else owns the entry afterwards', { timeout }, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  const object = find(namespace, 'Service') as Service;
  const store = new Store<KubeObject>();
  const applier = applierOf(services, store);
  await applier.apply(object, owner, signal);
  const [first, second] = object.spec?.ports ?? [];
  // Only the number changes: an apply would add our port beside this one, under the same name.
  const drifted = await api.admin.kube.mergePatch(
    services,
    object.metadata,
    { spec: { ports: [{ ...first, port: 9999 }, second] } },
    { signal },
  );
  store.set(keyOf(object.metadata), drifted);
  assert.equal((await applier.apply(object, owner, signal)).action, 'updated');
  const live = await api.admin.kube.get(services, object.metadata, { signal });
  assert.deepEqual(
    live?.spec?.ports?.map(({ port }) => port),
    object.spec?.ports?.map(({ port }) => port),
  );
  assert.ok(live !== undefined);
  store.set(keyOf(object.metadata), live);
  const fewer = { ...object, spec: { ...object.spec, ports: [first] } };
  await applier.apply(fewer, owner, signal);
  const after = await api.admin.kube.get(services, object.metadata, { signal });
  assert.deepEqual(
    after?.spec?.ports?.map(({ port }) => port),
    [first?.port],
    'an entry that is no longer wanted goes away',
  );
});

test('an object that somebody deleted right after it was made is made again', { timeout }, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  const object = find(namespace, 'Service');
  const { kube, metrics, log } = api.admin;
  const reflector = new Reflector<Service>({ kube, resource: services, namespace, metrics, log });
  const applier = new Applier<Service>({
    kube,
    resource: services,
    store: reflector.store,
    fieldManager,
    hashAnnotation,
  });
  const deleted = Promise.withResolvers<void>();
  reflector.onChange(({ type }) => {
    if (type === 'deleted') deleted.resolve();
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  await reflector.waitForSync(signal, 30_000);
  await applier.apply(object, owner, signal);
  await kube.delete(services, object.metadata, { signal });
  await deleted.promise;
  assert.equal((await applier.apply(object, owner, signal)).action, 'created');
  stop.abort();
  await running;
});

test('a field that is no longer wanted goes away, what others added stays', { timeout }, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  const object = find(namespace, 'Service') as Service;
  const store = new Store<KubeObject>();
  const applier = applierOf(services, store);
  await applier.apply(object, owner, signal);
  const theirs = { metadata: { annotations: { 'their.dev/note': 'theirs' }, labels: { theirs: 'x' } } };
  store.set(keyOf(object.metadata), await api.admin.kube.mergePatch(services, object.metadata, theirs, { signal }));
  assert.equal((await applier.apply(object, owner, signal)).action, 'unchanged', 'additions are no drift');
  const { annotations: _, ...metadata } = object.metadata;
  const [first] = object.spec?.ports ?? [];
  assert.ok(first);
  const wish = { ...object, metadata, spec: { ...object.spec, ports: [first] } };
  const { object: live } = await applier.apply(wish, owner, signal);
  const now = live as Service;
  assert.deepEqual(Object.keys(now.metadata.annotations ?? {}).toSorted(), [hashAnnotation, 'their.dev/note']);
  assert.equal(now.metadata.labels?.['theirs'], 'x');
  assert.deepEqual(
    now.spec?.ports?.map(({ name }) => name),
    ['db'],
  );
});

test('a Service of the user’s own, invisible to a filtered cache, is not taken over', { timeout }, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  const object = find(namespace, 'Service');
  const theirs = {
    ...object,
    metadata: { namespace, name: 'child' },
    spec: { selector: { app: 'theirs' }, ports: [{ port: 1, targetPort: 1 }] },
  };
  await api.admin.kube.create(services, theirs as unknown as Service, { signal });
  await assert.rejects(applierOf(services).apply(object, owner, signal), OwnershipConflict);
  const live = await api.admin.kube.get(services, object.metadata, { signal });
  assert.deepEqual(live?.spec?.selector, { app: 'theirs' });
  assert.equal(live?.metadata.ownerReferences, undefined);
});

test('an object that vanished or was replaced behind our back is a conflict, not a re-creation', {
  timeout,
}, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  const object = find(namespace, 'ServiceAccount');
  const store = new Store<KubeObject>();
  const resource: Resource = serviceAccounts;
  const applier = applierOf(resource, store);
  const { object: first } = await applier.apply(object, owner, signal);
  store.set(keyOf(first.metadata), first);
  const changed = { ...object, automountServiceAccountToken: true };

  assert.equal(await api.admin.kube.delete(resource, object.metadata, { signal }), true);
  await assert.rejects(applier.apply(changed, owner, signal), isConflict);
  assert.equal(await api.admin.kube.get(resource, object.metadata, { signal }), undefined);

  await api.admin.kube.create(
    resource,
    { ...object, metadata: { ...object.metadata, labels: { theirs: 'x' } } },
    { signal },
  );
  await assert.rejects(applier.apply(changed, owner, signal), isConflict);
  assert.deepEqual((await api.admin.kube.get(resource, object.metadata, { signal }))?.metadata.labels, { theirs: 'x' });
  assert.equal(await applier.delete(keyOf(object.metadata), owner, signal), false);
  assert.notEqual(await api.admin.kube.get(resource, object.metadata, { signal }), undefined);
});

test('a status computed from an old version is refused, and one of a missing object is not found', {
  timeout,
}, async () => {
  const namespace = await api.namespace();
  const object = find(namespace, 'Deployment');
  const created = await api.admin.kube.apply(deployments, object, { signal, fieldManager });
  const statusOf = (resourceVersion: string, observedGeneration: number): KubeObject & { status: object } => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name: 'child', resourceVersion },
    status: { observedGeneration },
  });
  const version = created.metadata.resourceVersion ?? '';
  const call = { signal, fieldManager: 'test-operator-status' };
  const written = await api.admin.kube.applyStatus(deployments, statusOf(version, 1), call);
  assert.equal(written.status?.observedGeneration, 1);
  await assert.rejects(api.admin.kube.applyStatus(deployments, statusOf(version, 2), call), isConflict);
  await api.admin.kube.delete(deployments, object.metadata, { signal });
  await assert.rejects(api.admin.kube.applyStatus(deployments, statusOf(version, 3), call), isNotFound);
});

test('the documented rights are enough for everything, and for nothing more', { timeout }, async () => {
  const namespace = await api.namespace();
  const owner = await ownerIn(namespace);
  await api.server.kubectl(['apply', '-f', '-'], { input: roleFor('operator', namespace) });
  const operator = api.as('operator');
  // A role acts a moment after it is stored.
  await eventually('the role acts', async () => {
    try {
      await operator.kube.list(pods, { namespace }, { signal });
      return true;
    } catch (error) {
      if (isForbidden(error)) return false;
      throw error;
    }
  });
  for (const { resource, object } of childrenIn(namespace)) {
    const applier = applierOf(resource, new Store<KubeObject>(), operator.kube);
    assert.equal((await applier.apply(object, owner, signal)).action, 'created');
    const changed = { ...object, metadata: { ...object.metadata, labels: { ...object.metadata.labels, more: 'x' } } };
    assert.equal((await applier.apply(changed, owner, signal)).action, 'updated');
    assert.equal(await applier.delete(keyOf(object.metadata), owner, signal), true);
  }
  const stop = new AbortController();
  const reflector = new Reflector({
    kube: operator.kube,
    resource: pods,
    namespace,
    metrics: operator.metrics,
    log: operator.log,
  });
  const running = reflector.run(stop.signal);
  await reflector.waitForSync(signal, 30_000);
  stop.abort();
  await running;
  await assert.rejects(operator.kube.get(secrets, { namespace, name: 'any' }, { signal }), isForbidden);
  await assert.rejects(operator.kube.list(secrets, { namespace }, { signal }), isForbidden);
  await assert.rejects(operator.kube.get(leases, { namespace, name: 'any' }, { signal }), isForbidden);
});

test('a reflector without its right names the missing verb', { timeout }, async () => {
  const namespace = await api.namespace();
  const nobody = api.as('nobody');
  const stop = new AbortController();
  const reflector = new Reflector({
    kube: nobody.kube,
    resource: pods,
    namespace,
    metrics: nobody.metrics,
    log: nobody.log,
  });
  const running = reflector.run(stop.signal);
  await assert.rejects(reflector.waitForSync(signal, 8_000), /User "nobody" cannot (list|watch) resource "pods"/);
  stop.abort();
  await running;
});

/** The rights that docs name for an operator of such children, for one user in one namespace. */
function roleFor(user: string, namespace: string): string {
  const rule = (apiGroups: string[], resources: string[], verbs: string[]): object => ({ apiGroups, resources, verbs });
  const owned = ['get', 'list', 'watch', 'create', 'patch', 'delete'];
  const metadata = { name: user, namespace };
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata,
    rules: [
      rule([''], ['services', 'serviceaccounts'], owned),
      rule(['apps'], ['deployments'], owned),
      rule(['networking.k8s.io'], ['networkpolicies'], owned),
      rule(['policy'], ['poddisruptionbudgets'], owned),
      rule([''], ['pods'], ['get', 'list', 'watch']),
    ],
  };
  const binding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: user },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
  };
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [role, binding] });
}
