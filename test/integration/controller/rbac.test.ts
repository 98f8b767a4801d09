// The controller as the user that the chart makes of it: with exactly the rules of rbac.ts it does all its work, and nothing else is open.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { podDisruptionBudgets } from '../../../src/controller/kube/base/resources.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { controllerRules, leaseRules, type PolicyRule } from '../../../src/controller/rbac.ts';
import { ordersDb, type RunningController, World } from './world.ts';

const account = 'system:serviceaccount:operator:portforward';

let world: World;
let controller: RunningController;

before(async () => {
  world = await World.start();
  const subject = { kind: 'ServiceAccount', name: 'portforward', namespace: 'operator' };
  const rbac = (kind: string, namespace: string | undefined, more: object) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind,
    metadata: { name: 'portforward', ...(namespace === undefined ? {} : { namespace }) },
    ...more,
  });
  const reference = (kind: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name: 'portforward' });
  const objects = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'portforward', namespace: 'operator' } },
    rbac('ClusterRole', undefined, { rules: controllerRules }),
    rbac('ClusterRoleBinding', undefined, { roleRef: reference('ClusterRole'), subjects: [subject] }),
    rbac('Role', 'operator', { rules: leaseRules('portforward-controller') }),
    rbac('RoleBinding', 'operator', { roleRef: reference('Role'), subjects: [subject] }),
  ];
  await world.server.kubectl(['apply', '-f', '-'], { input: objects.map((object) => stringify(object)).join('---\n') });
  // Rights act a moment after they are stored, and a request that is refused until then would be counted.
  for (const [resource, namespace] of [
    ['portforwards.portforward.dev', 'default'],
    ['leases.coordination.k8s.io/portforward-controller', 'operator'],
  ] as const) {
    await world.until(`the rights in ${namespace} act`, () =>
      world.server.kubectl(['auth', 'can-i', 'get', resource, '--namespace', namespace, `--as=${account}`]).then(
        () => true,
        () => false,
      ),
    );
  }
  const token = (await world.server.kubectl(['create', 'token', 'portforward', '-n', 'operator'])).trim();
  const config = parse(readFileSync(world.server.kubeconfig, 'utf8')) as { users: { user: object }[] };
  for (const each of config.users) each.user = { token };
  const file = join(dirname(world.server.kubeconfig), 'controller-kubeconfig');
  writeFileSync(file, stringify(config), { mode: 0o600 });
  controller = await world.controller([], { kubeConfig: loadKubeConfig({ file }) });
});

after(async () => {
  await world[Symbol.asyncDispose]();
});

test('with these rights alone a tunnel is made, repaired, renamed, scaled down and told about', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2 }));
  await world.pod(namespace, 'orders-db', 'rbac-1');
  await world.rolledOut(namespace, 'orders-db', 2);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  await world.server.kubectl(['delete', 'service', 'orders-db', '-n', namespace]);
  await world.until('the Service is back', async () => await world.service(namespace, 'orders-db'));
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 1, service: { name: 'renamed' } }));
  await world.until('the old Service is gone', async () => (await world.service(namespace, 'orders-db')) === undefined);
  await world.until('the budget is gone', async () => (await world.list(podDisruptionBudgets, namespace)).length === 0);
  await world.until('Events are written', async () => {
    const reasons = await world.server.kubectl(['get', 'events', '-n', namespace, '-o', 'jsonpath={..reason}']);
    return reasons.includes('Ready') && reasons.includes('DriftRepaired');
  });
  const page = await (await fetch(`http://127.0.0.1:${controller.adminPort}/metrics`)).text();
  const refused = page.split('\n').filter((line) => line.startsWith('rest_client_requests_total{code="403"'));
  assert.deepEqual(refused, []);
});

/** What the rules say of one resource, verb by verb. */
function allowed(rules: readonly PolicyRule[], apiGroup: string, resource: string, name: string): string[] {
  return rules
    .filter((rule) => rule.apiGroups.includes(apiGroup) && rule.resources.includes(resource))
    .filter(({ resourceNames }) => resourceNames === undefined || resourceNames.includes(name))
    .flatMap(({ verbs }) => verbs);
}

const verbs = [
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  'impersonate',
  'bind',
  'escalate',
  'use',
  'approve',
];
const resources = [
  ['', 'secrets'],
  ['', 'configmaps'],
  ['', 'pods'],
  ['', 'pods/exec'],
  ['', 'pods/log'],
  ['', 'pods/portforward'],
  ['', 'pods/ephemeralcontainers'],
  ['', 'nodes'],
  ['', 'namespaces'],
  ['', 'services'],
  ['', 'services/proxy'],
  ['', 'endpoints'],
  ['', 'serviceaccounts'],
  ['', 'serviceaccounts/token'],
  ['', 'events'],
  ['', 'users'],
  ['apps', 'deployments'],
  ['apps', 'deployments/scale'],
  ['apps', 'replicasets'],
  ['apps', 'daemonsets'],
  ['batch', 'jobs'],
  ['discovery.k8s.io', 'endpointslices'],
  ['networking.k8s.io', 'networkpolicies'],
  ['networking.k8s.io', 'ingresses'],
  ['policy', 'poddisruptionbudgets'],
  ['events.k8s.io', 'events'],
  ['coordination.k8s.io', 'leases'],
  ['rbac.authorization.k8s.io', 'roles'],
  ['rbac.authorization.k8s.io', 'clusterrolebindings'],
  ['admissionregistration.k8s.io', 'validatingadmissionpolicies'],
  ['apiextensions.k8s.io', 'customresourcedefinitions'],
  ['certificates.k8s.io', 'certificatesigningrequests'],
  ['portforward.dev', 'portforwards'],
  ['portforward.dev', 'portforwards/status'],
  ['portforward.dev', 'portforwards/finalizers'],
  ['portforward.dev', 'portforwards/scale'],
] as const;

test('asked about each verb on each resource, the API server allows exactly what the list says', async () => {
  for (const namespace of ['operator', 'default']) {
    const rules =
      namespace === 'operator' ? [...controllerRules, ...leaseRules('portforward-controller')] : controllerRules;
    const reviews = resources.flatMap(([group, path]) =>
      verbs.map((verb) => {
        const [resource = '', subresource] = path.split('/');
        return {
          namespace,
          group,
          resource,
          verb,
          name: 'portforward-controller',
          ...(subresource && { subresource }),
        };
      }),
    );
    const input = reviews
      .map((resourceAttributes) =>
        stringify({
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes },
        }),
      )
      .join('---\n');
    const text = await world.server.kubectl(
      ['create', '-f', '-', '-o', 'json', '--validate=false', `--as=${account}`],
      { input },
    );
    const verdicts = parseStream(text).map(({ spec: { resourceAttributes: asked }, status }) => {
      const path = asked.subresource === undefined ? asked.resource : `${asked.resource}/${asked.subresource}`;
      return { group: asked.group ?? '', path, verb: asked.verb, allowed: status.allowed };
    });
    assert.equal(verdicts.length, reviews.length);
    for (const [group, path] of resources) {
      const granted = verdicts.filter((each) => each.group === group && each.path === path && each.allowed);
      const wanted = allowed(rules, group, path, 'portforward-controller');
      assert.deepEqual(
        granted.map(({ verb }) => verb).toSorted(),
        [...new Set(wanted)].toSorted(),
        `${path} in ${namespace}`,
      );
    }
    const secrets = verdicts.filter(({ path, allowed: may }) => path === 'secrets' && may);
    assert.deepEqual(secrets, []);
  }
});

interface Review {
  readonly spec: {
    readonly resourceAttributes: {
      readonly group?: string;
      readonly resource: string;
      readonly subresource?: string;
      readonly verb: string;
    };
  };
  readonly status: { readonly allowed: boolean };
}

/** kubectl prints a List, or one document after another. */
function parseStream(text: string): Review[] {
  const documents = text.trim().startsWith('{') ? JSON.parse(`[${text.trim().replace(/\}\s*\n\{/g, '},{')}]`) : [];
  return (documents as (Review & { items?: Review[] })[]).flatMap((document) => document.items ?? [document]);
}
