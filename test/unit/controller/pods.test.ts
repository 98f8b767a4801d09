// Which pods count as a tunnel's, and what is kept of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../../src/controller/kube/base/resources.ts';
import { projectPod, tunnelOfPod } from '../../../src/controller/pods.ts';

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
