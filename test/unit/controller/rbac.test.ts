// The list of what the controller may do is itself the promise of least privilege.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controllerRules, leaseRules } from '../../../src/controller/rbac.ts';

const all = [...controllerRules, ...leaseRules('lease')];

test('no rule speaks of Secrets, wildcards, tokens, pods’ insides, roles or endpoints', () => {
  const forbidden =
    /^(\*|secrets|configmaps|roles.*|clusterroles.*|pods\/.+|serviceaccounts\/.+|endpoint.*|nodes.*|.*\/\*)$/;
  for (const { resources, verbs, apiGroups } of all) {
    for (const resource of resources) assert.doesNotMatch(resource, forbidden);
    assert.ok(![...verbs, ...apiGroups].includes('*'));
  }
});

test('no rule allows to impersonate, bind or escalate, or to delete many objects at once', () => {
  const verbs = new Set(all.flatMap((rule) => rule.verbs));
  assert.deepEqual([...verbs].toSorted(), ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']);
});

test('of a PortForward only the status is written', () => {
  const rules = controllerRules.filter(({ apiGroups }) => apiGroups.includes('portforward.dev'));
  assert.deepEqual(
    rules.map(({ resources, verbs }) => `${resources.join()}: ${verbs.join()}`),
    ['portforwards: get,list,watch', 'portforwards/status: patch', 'portforwards/finalizers: update'],
  );
});
