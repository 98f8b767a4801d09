import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isSubset } from '../../../../../src/controller/kube/apply/subset.ts';

const holds = (desired: unknown, live: unknown): void => assert.equal(isSubset(desired, live), true);
const differs = (desired: unknown, live: unknown): void => assert.equal(isSubset(desired, live), false);

test('anything holds in itself, however its fields are ordered', () => {
  const property = fc.property(fc.jsonValue(), (value) => isSubset(value, JSON.parse(JSON.stringify(value))));
  fc.assert(property, { examples: ['valueOf', '__proto__'].map((field) => [JSON.parse(`{"${field}":[{}]}`)]) });
});

test('a field is only what an object says itself, whatever its name', () => {
  differs({ labels: { toString: 'x' } }, { labels: {} });
  differs({ selector: { app: 'x' } }, { selector: { app: 'x', constructor: 'y' } });
  holds({ limits: { valueOf: '' } }, { limits: {} });
});

test('fields that the API server or others added are no difference', () => {
  holds({ spec: { replicas: 2 } }, { spec: { replicas: 2, revisionHistoryLimit: 10 }, status: { replicas: 1 } });
  holds({ labels: { a: '1' } }, { labels: { a: '1', theirs: 'x' } });
});

test('a changed, removed or emptied value is a difference', () => {
  differs({ spec: { replicas: 2 } }, { spec: { replicas: 3 } });
  differs({ labels: { a: '1' } }, { labels: {} });
  differs({ automountServiceAccountToken: false }, {});
  differs({ securityContext: { allowPrivilegeEscalation: false } }, { securityContext: {} });
});

test('what the API server does not store when it is empty is no difference', () => {
  holds({ labels: {}, imagePullSecrets: [], value: '', publishNotReadyAddresses: false, minReadySeconds: 0 }, {});
});

test('quantities are compared by value, only where quantities are', () => {
  holds({ limits: { cpu: '1000m', memory: '1024Mi' } }, { limits: { cpu: '1', memory: '1Gi' } });
  holds({ requests: { cpu: 0.5 } }, { requests: { cpu: '500m' } });
  holds({ emptyDir: { sizeLimit: '1024Ki' } }, { emptyDir: { sizeLimit: '1Mi' } });
  differs({ limits: { cpu: '1' } }, { limits: { cpu: '1m' } });
  differs({ annotations: { a: '1000m' } }, { annotations: { a: '1' } });
});

test('a port may change between number and text', () => {
  holds({ targetPort: 80 }, { targetPort: '80' });
  holds({ maxUnavailable: '0' }, { maxUnavailable: 0 });
  differs({ targetPort: 80 }, { targetPort: '81' });
});

test('keyed lists are compared by key: order and foreign entries do not matter, ours must be there', () => {
  const ours = { env: [{ name: 'A', value: '1' }, { name: 'B' }] };
  holds(ours, { env: [{ name: 'THEIRS' }, { name: 'B' }, { name: 'A', value: '1' }] });
  differs(ours, { env: [{ name: 'A', value: '1' }] });
  differs(ours, { env: [{ name: 'A', value: '2' }, { name: 'B' }] });
  holds(
    { ports: [{ name: 'db', port: 5432, protocol: 'TCP', targetPort: 'db' }] },
    { ports: [{ name: 'db', port: 5432, protocol: 'TCP', targetPort: 'db', nodePort: 30_001 }] },
  );
  differs({ ports: [{ containerPort: 1, protocol: 'TCP' }] }, { ports: [{ containerPort: 1, protocol: 'UDP' }] });
});

test('other lists are one value: order and length matter', () => {
  holds({ args: ['a', 'b'] }, { args: ['a', 'b'] });
  differs({ args: ['a', 'b'] }, { args: ['b', 'a'] });
  differs({ args: ['a'] }, { args: ['a', 'b'] });
  differs({ tolerations: [{ key: 'a' }] }, { tolerations: [{ key: 'a', operator: 'Exists' }] });
});

test('a selector with one more label is another selector', () => {
  differs({ selector: { app: 'x' } }, { selector: { app: 'x', more: 'y' } });
  differs({ selector: { matchLabels: { app: 'x' } } }, { selector: { matchLabels: { app: 'x', more: 'y' } } });
  holds({ selector: { matchLabels: { app: 'x' } } }, { selector: { matchLabels: { app: 'x' } } });
});

test('a network policy that somebody widened is a difference, one with its defaults filled in is none', () => {
  const ours = { ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 'db' }] }] };
  holds(ours, { ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 'db', protocol: 'TCP' }] }] });
  differs(ours, {
    ingress: [{ from: [{ podSelector: {}, namespaceSelector: {} }], ports: [{ port: 'db', protocol: 'TCP' }] }],
  });
  differs(ours, { ingress: [{ ports: [{ port: 'db', protocol: 'TCP' }] }] });
  differs(ours, { ingress: [{ from: [{ podSelector: {} }, {}], ports: [{ port: 'db', protocol: 'TCP' }] }] });
  differs(ours, { ingress: [] });
});

test('a volume whose kind was replaced is a difference', () => {
  differs({ volumes: [{ name: 'tmp', emptyDir: {} }] }, { volumes: [{ name: 'tmp', hostPath: { path: '/' } }] });
});
