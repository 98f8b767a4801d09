import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Applier,
  needsApply,
  OwnershipConflict,
  withAppliedHash,
} from '../../../../../src/controller/kube/apply/apply.ts';
import { ApiError, isConflict, isForbidden } from '../../../../../src/controller/kube/base/api-error.ts';
import { hashOf } from '../../../../../src/controller/kube/base/hash.ts';
import { type KubeObject, keyOf, ownedBy } from '../../../../../src/controller/kube/base/object.ts';
import type { Outline } from '../../../../../src/controller/kube/base/outline.ts';
import { type Service, services } from '../../../../../src/controller/kube/base/resources.ts';
import { Store } from '../../../../../src/controller/kube/cache/store.ts';
import { JsonSieve } from '../../../../../src/controller/kube/rest/json-sieve.ts';
import type { Kube } from '../../../../../src/controller/kube/rest/kube.ts';

const { signal } = new AbortController();
const hashAnnotation = 'example.dev/hash';
const owner: KubeObject = {
  apiVersion: 'g/v1',
  kind: 'Thing',
  metadata: { namespace: 'ns', name: 't', uid: 'owner-1' },
};
const desired: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'ns', name: 's', labels: { app: 'x' } },
  spec: { selector: { app: 'x' } },
};
const live = (
  resourceVersion: string,
  more: Partial<Service['metadata']> = {},
  spec: Service['spec'] = { selector: { app: 'x' } },
): Service => {
  const { metadata } = withAppliedHash(desired, owner, hashAnnotation);
  return {
    ...desired,
    metadata: { ...metadata, uid: 'uid-1', resourceVersion, ...more },
    ...(spec === undefined ? {} : { spec }),
  };
};

/** The object as the client reads it. */
function read(object: Service, outline: Outline): Service {
  const sieve = new JsonSieve(outline, { what: 'the object', maxBytes: 1 << 20 });
  sieve.push(Buffer.from(JSON.stringify(object)));
  return JSON.parse(sieve.take()) as Service;
}

/** An API server of one Service, which tells what it was asked. */
function applierOf(there?: Service, answer?: (body: KubeObject) => Service) {
  const store = new Store<Service>();
  const asked: string[] = [];
  const bodies: KubeObject[] = [];
  const kube = {
    get: async () => {
      asked.push('get');
      return there;
    },
    apply: async (_: unknown, body: KubeObject, { outline = true }: { outline?: Outline }) => {
      asked.push('apply');
      bodies.push(body);
      return answer?.(body) ?? read(live('10', { managedFields: [1] }), outline);
    },
    mergePatch: async (_: unknown, __: unknown, patch: KubeObject & Pick<Service, 'spec'>) => {
      asked.push('merge');
      bodies.push(patch);
      return live('10', {}, { ...desired.spec, ...patch.spec });
    },
    delete: async (_: unknown, __: unknown, { uid }: { uid?: string }) => {
      asked.push(`delete ${uid}`);
      return true;
    },
  } as unknown as Kube;
  const applier = new Applier<Service>({ kube, resource: services, store, fieldManager: 'me', hashAnnotation });
  const cached = (object: Service): void => void store.set(keyOf(object.metadata), object);
  return { applier, asked, bodies, cached, store };
}

test('what is cached and equal costs no request', async () => {
  const { applier, asked, cached } = applierOf();
  cached(live('1'));
  assert.equal((await applier.apply(desired, owner, signal)).action, 'unchanged');
  assert.deepEqual(asked, []);
});

test('a free name is asked for first, then taken, with the owner and the hash; the answer is read back at once', async () => {
  const { applier, asked, bodies } = applierOf();
  const { action, object } = await applier.apply(desired, owner, signal);
  assert.deepEqual([action, asked], ['created', ['get', 'apply']]);
  assert.deepEqual(bodies[0]?.metadata.ownerReferences, [ownedBy(owner)]);
  assert.match(bodies[0]?.metadata.annotations?.[hashAnnotation] ?? '', /^[0-9a-f]{32}$/);
  assert.equal(object.metadata.managedFields, undefined);
  assert.equal((await applier.apply(desired, owner, signal)).action, 'unchanged');
  assert.deepEqual(asked, ['get', 'apply']);
});

test('drift and a changed wish are applied to that very object', async () => {
  const { applier, bodies, cached } = applierOf();
  cached(live('1', {}, { selector: { app: 'hijacked' } }));
  assert.equal((await applier.apply(desired, owner, signal)).action, 'updated');
  assert.equal(bodies[0]?.metadata.uid, 'uid-1');
  const wish = { ...desired, spec: { selector: { app: 'y' } } };
  assert.equal((await applier.apply(wish, owner, signal)).action, 'updated');
});

test('a field that is no longer wanted is found by the hash', () => {
  const before = { ...desired, spec: { ...desired.spec, type: 'ClusterIP' } };
  const stored = { ...live('1'), ...withAppliedHash(before, owner, hashAnnotation) };
  assert.equal(needsApply(withAppliedHash(before, owner, hashAnnotation), stored, hashAnnotation), false);
  assert.equal(needsApply(withAppliedHash(desired, owner, hashAnnotation), stored, hashAnnotation), true);
});

test('an object of somebody else is left alone, cached or not', async () => {
  const foreign = live('1', { ownerReferences: [] });
  const uncached = applierOf(foreign);
  await assert.rejects(
    uncached.applier.apply(desired, owner, signal),
    (error) => error instanceof OwnershipConflict && !error.isTransient,
  );
  assert.deepEqual(uncached.asked, ['get']);
  const { applier, asked, cached } = applierOf();
  cached(live('1', { ownerReferences: [{ ...ownedBy(owner), kind: 'Other', uid: 'other' }] }));
  await assert.rejects(applier.apply(desired, owner, signal), /controlled by Other t/);
  assert.equal(await applier.delete('ns/s', owner, signal), false);
  assert.deepEqual(asked, []);
});

test('a child of a former owner of the same name is a conflict that passes', async () => {
  const { applier, cached } = applierOf();
  cached(live('1', { ownerReferences: [{ ...ownedBy(owner), uid: 'former' }] }));
  await assert.rejects(
    applier.apply(desired, owner, signal),
    (error) => error instanceof OwnershipConflict && error.isTransient,
  );
});

test('an object that is being deleted is neither applied nor deleted again', async () => {
  const { applier, asked, cached } = applierOf();
  cached(live('1', { deletionTimestamp: '2026-01-01T00:00:00Z' }, { selector: { app: 'drifted' } }));
  assert.equal((await applier.apply(desired, owner, signal)).action, 'unchanged');
  assert.equal(await applier.delete('ns/s', owner, signal), false);
  assert.deepEqual(asked, []);
});

test('an object that was replaced meanwhile is a conflict, and our memory of it is gone', async () => {
  const { applier, cached } = applierOf(undefined, () => {
    const details = { causes: [{ field: 'metadata.uid', message: 'field is immutable' }] };
    throw new ApiError('PATCH', 422, { reason: 'Invalid', message: 'uid', details });
  });
  cached(live('1', {}, { selector: {} }));
  await assert.rejects(applier.apply(desired, owner, signal), isConflict);
});

test('what an admission policy refuses is not forced by other means', async () => {
  const sentence = "services \"s\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
  const { applier, asked, cached } = applierOf(undefined, () => {
    throw new ApiError('PATCH', 422, { reason: 'Invalid', message: sentence });
  });
  cached(live('1', {}, { selector: {} }));
  await assert.rejects(applier.apply(desired, owner, signal), isForbidden);
  assert.deepEqual(asked, ['apply']);
});

test('a part is merged into our very object, once, and read back at once', async () => {
  const { applier, asked, bodies, cached } = applierOf();
  const part = { spec: { publishNotReadyAddresses: true } };
  await applier.merge('ns/s', part, owner, signal);
  cached(live('1', { ownerReferences: [] }));
  await applier.merge('ns/s', part, owner, signal);
  assert.deepEqual(asked, [], 'what is not there or not ours is left alone');
  cached(live('1'));
  await applier.merge('ns/s', part, owner, signal);
  await applier.merge('ns/s', part, owner, signal);
  assert.deepEqual(asked, ['merge']);
  assert.deepEqual(bodies, [{ ...part, metadata: { uid: 'uid-1' } }]);
});

test('a delete names the very object and is not repeated', async () => {
  const { applier, asked, cached, store } = applierOf();
  cached(live('1'));
  assert.equal(await applier.delete('ns/s', owner, signal), true);
  store.delete('ns/s');
  assert.equal(await applier.delete('ns/s', owner, signal), false);
  assert.deepEqual(asked, ['delete uid-1']);
});

test('the hash does not depend on the order of fields, and does on everything else', () => {
  assert.equal(hashOf({ a: 1, b: { c: [1, 2], d: 'x' } }), hashOf({ b: { d: 'x', c: [1, 2] }, a: 1 }));
  const others = [{ a: 2 }, { a: '1' }, { b: 1 }, { a: 1, b: null }, { a: [1] }].map(hashOf);
  assert.equal(new Set([hashOf({ a: 1 }), ...others]).size, 6);
});
