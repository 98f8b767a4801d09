// Which pods count as a tunnel's, and what is kept of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, ReplicaSet } from '../../../src/controller/kube/base/resources.ts';
import { isMadeBy, projectPod, projectReplicaSet, replicaSetKeyOf, tunnelOfPod } from '../../../src/controller/pods.ts';

const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'pf-orders-db-7d9f', uid: 'u', controller: true };
const pod = (metadata: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'pf-orders-db-7d9f-x',
    namespace: 'shop',
    uid: 'p',
    resourceVersion: '5',
    labels: { 'portforward.dev/name': 'orders-db', team: 'shop' },
    annotations: { 'portforward.dev/template': 'abc', big: 'x'.repeat(1000) },
    ownerReferences: [owner],
    ...metadata,
  },
  spec: { containers: [{ name: 'tunnel', env: [{ name: 'PORTFORWARD_CONFIG', value: '{}' }] }] },
  status: {
    phase: 'Running',
    podIP: '10.0.0.1',
    conditions: [
      { type: 'Initialized', status: 'True' },
      { type: 'Ready', status: 'True' },
    ],
  },
});

test('a pod of the tunnel’s ReplicaSet belongs to its PortForward', () => {
  assert.equal(tunnelOfPod(pod()), 'shop/orders-db');
  assert.equal(tunnelOfPod(projectPod(pod())), 'shop/orders-db');
});

test('a pod that only carries the label does not', () => {
  assert.equal(tunnelOfPod(pod({ ownerReferences: [] })), undefined);
  assert.equal(tunnelOfPod(pod({ ownerReferences: [{ ...owner, name: 'other-7d9f' }] })), undefined);
  assert.equal(tunnelOfPod(pod({ ownerReferences: [{ ...owner, kind: 'Job' }] })), undefined);
});

test('of a pod only what status needs is kept', () => {
  const kept = projectPod(pod());
  assert.equal(kept.spec, undefined);
  assert.deepEqual(kept.metadata.labels, { 'portforward.dev/name': 'orders-db' });
  assert.deepEqual(kept.metadata.annotations, { 'portforward.dev/template': 'abc' });
  assert.deepEqual(kept.status?.conditions, [{ type: 'Ready', status: 'True' }]);
  assert.equal(kept.status?.podIP, '10.0.0.1');
});

const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'pf-orders-db', uid: 'd', controller: true };
const set = (metadata: Partial<ReplicaSet['metadata']> = {}): ReplicaSet => ({
  apiVersion: 'meta.k8s.io/v1',
  kind: 'PartialObjectMetadata',
  metadata: {
    name: 'pf-orders-db-7d9f',
    namespace: 'shop',
    uid: 'u',
    resourceVersion: '7',
    ownerReferences: [deployment],
    annotations: { big: 'x'.repeat(1000) },
    ...metadata,
  },
});

test('a pod is the tunnel’s if the ReplicaSet that it names is there, and the tunnel’s Deployment made that', () => {
  assert.equal(replicaSetKeyOf(pod()), 'shop/pf-orders-db-7d9f');
  assert.equal(isMadeBy(pod(), set()), true);
  assert.equal(isMadeBy(projectPod(pod()), projectReplicaSet(set())), true);
  assert.equal(isMadeBy(pod(), undefined), false);
  assert.equal(isMadeBy(pod(), set({ uid: 'another' })), false);
  assert.equal(isMadeBy(pod({ ownerReferences: [{ ...owner, apiVersion: 'apps/v2' }] }), set()), false);
  for (const maker of [
    { ...deployment, name: 'pf-orders' },
    { ...deployment, kind: 'Job' },
    { ...deployment, apiVersion: 'apps/v2' },
    { ...deployment, controller: false },
  ]) {
    assert.equal(isMadeBy(pod(), set({ ownerReferences: [maker] })), false, JSON.stringify(maker));
  }
});

test('of a ReplicaSet only who it is and who made it is kept, and nothing of one that is no tunnel’s', () => {
  assert.deepEqual(projectReplicaSet(set()), {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: 'pf-orders-db-7d9f',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '7',
      ownerReferences: [deployment],
    },
  });
  assert.equal(projectReplicaSet(set({ ownerReferences: [{ ...deployment, name: 'web' }] })), undefined);
  assert.equal(projectReplicaSet(set({ ownerReferences: [] })), undefined);
});
