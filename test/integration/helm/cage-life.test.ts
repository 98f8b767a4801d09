// Life goes on under the cage: others write into the tunnel's objects, too, and the controller's next writes pass.
// Neighbours: cage-world.ts, cage.test.ts (what is refused).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CageWorld, type Loose } from './cage-world.ts';

let world: CageWorld;
before(async () => {
  world = await CageWorld.start({
    values: [
      'allowedServiceTypes={ClusterIP,NodePort}',
      'admissionPolicies.controller.addedFields={Deployment.spec.template.spec.hostname,Service.metadata.labels.example.com/cost,ServiceAccount.metadata.labels.example.com/cost,NetworkPolicy.metadata.labels.example.com/cost,PodDisruptionBudget.metadata.labels.example.com/cost,Deployment.metadata.labels.example.com/cost}',
    ],
    flags: ['--allowed-service-types=ClusterIP,NodePort'],
    spec: {
      ports: [{ port: 5432, appProtocol: 'postgresql' }],
      ssh: { user: 'tunnel', bastions: [{ host: 'b.example.com' }], secretRef: { name: 's' } },
      service: { type: 'NodePort' },
    },
  });
});
after(() => world?.stop());

const kubectl = (...args: readonly string[]): Promise<string> => world.server.kubectl(['-n', 'shop', ...args]);

/** The controller writes everything ten times, each time with something of its own changed. */
async function tenWrites(): Promise<void> {
  for (let round = 1; round <= 10; round += 1) {
    const items = world.children();
    for (const object of items) {
      object['metadata'].annotations['portforward.dev/applied'] = `round-${round}`;
      if (object['kind'] === 'Deployment') object['spec'].replicas = 1 + (round % 3);
    }
    await world.write({ apiVersion: 'v1', kind: 'List', items });
  }
}

test('after kubectl rollout restart, foreign labels and annotations and an allocated nodePort, ten writes pass', async () => {
  for (const object of world.children()) await world.write(object);
  const port = await kubectl('get', 'service', 'orders-db', '--output', 'jsonpath={.spec.ports[0].nodePort}');
  assert.match(port, /^3\d{4}$/);
  await kubectl('rollout', 'restart', 'deployment/pf-orders-db');
  for (const kind of ['deployment', 'serviceaccount', 'networkpolicy', 'poddisruptionbudget']) {
    await kubectl('label', kind, 'pf-orders-db', 'example.com/team=shop');
    await kubectl('annotate', kind, 'pf-orders-db', 'example.com/note=kept');
  }
  await kubectl('label', 'service', 'orders-db', 'example.com/team=shop');
  await tenWrites();
  const deployment = JSON.parse(await kubectl('get', 'deployment', 'pf-orders-db', '--output', 'json')) as Loose;
  assert.equal(deployment['metadata'].labels['example.com/team'], 'shop');
  assert.ok('kubectl.kubernetes.io/restartedAt' in deployment['spec'].template.metadata.annotations);
  assert.equal(await kubectl('get', 'service', 'orders-db', '--output', 'jsonpath={.spec.ports[0].nodePort}'), port);
});

test('an object of the release before may be scaled and patched, and keeps its image; another image is refused', async () => {
  const before = world.child('Deployment');
  before['spec'].template.spec.containers[0].image = 'ghcr.io/portforward/portforward:0.0.9';
  // As an administrator: the policies are about the controller alone.
  await world.apply(before);
  before['spec'].replicas = 0;
  await world.write(before);
  before['spec'].template.spec.containers[0].image = 'ghcr.io/portforward/portforward:0.0.8';
  await world.refused(before, /runs the image/);
  await world.write(world.child('Deployment'));
});

test('what a mutating policy adds on each kind passes if the chart lists it, and ten writes of ours pass', async () => {
  const add = (name: string, groups: string, resource: string, patch: string): object[] => [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicy',
      metadata: { name },
      spec: {
        matchConstraints: {
          resourceRules: [
            { apiGroups: [groups], apiVersions: ['*'], resources: [resource], operations: ['CREATE', 'UPDATE'] },
          ],
        },
        failurePolicy: 'Fail',
        reinvocationPolicy: 'Never',
        mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: patch } }],
      },
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name },
    },
  ];
  const label = 'Object{metadata: Object.metadata{labels: {"example.com/cost": "shop"}}}';
  const pod =
    'Object{metadata: Object.metadata{labels: {"example.com/cost": "shop"}}, spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{hostname: "tunnel-example"}}}}';
  const policies = [
    ...add('a', 'apps', 'deployments', pod),
    ...add('b', '', 'services', label),
    ...add('c', '', 'serviceaccounts', label),
    ...add('d', 'networking.k8s.io', 'networkpolicies', label),
    ...add('e', 'policy', 'poddisruptionbudgets', label),
  ];
  await world.apply({ apiVersion: 'v1', kind: 'List', items: policies });
  const names = world.children().map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  await kubectl('delete', ...names);
  const isMutated = async (): Promise<boolean> => {
    for (const object of world.children()) {
      const answer = await world.write(object, ['--dry-run=server', '--output', 'json']);
      if ((JSON.parse(answer) as Loose)['metadata'].labels['example.com/cost'] !== 'shop') return false;
    }
    return true;
  };
  const deadline = performance.now() + 30_000;
  while (!(await isMutated())) assert.ok(performance.now() < deadline, 'the mutating policies do not act');
  for (const object of world.children()) await world.write(object);
  const deployment = JSON.parse(await kubectl('get', 'deployment', 'pf-orders-db', '--output', 'json')) as Loose;
  assert.equal(deployment['spec'].template.spec.hostname, 'tunnel-example');
  await tenWrites();
});
