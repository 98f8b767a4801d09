// The objects of a tunnel against a real API server: made, repaired, renamed, left alone, deleted.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { templateOf } from '../../../src/controller/children/deployment.ts';
import type { Resource } from '../../../src/controller/kube/base/object.ts';
import {
  deployments,
  networkPolicies,
  type Pod,
  podDisruptionBudgets,
  serviceAccounts,
  services,
} from '../../../src/controller/kube/base/resources.ts';
import { judge } from '../../faults/budget.ts';
import { FakePod, failedStatus, limit, ordersDb, type RunningController, Unmet, World } from './world.ts';

let world: World;
let controller: RunningController;

before(async () => {
  world = await World.start();
  controller = await world.controller(['--allowed-labels=team']);
});

after(async () => {
  await world[Symbol.asyncDispose]();
});

const kinds: readonly Resource[] = [deployments, services, serviceAccounts, networkPolicies, podDisruptionBudgets];

async function childrenOf(namespace: string): Promise<string[]> {
  const found = await Promise.all(kinds.map((kind) => world.list(kind, namespace)));
  return found
    .flat()
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    .toSorted();
}

async function expectChildren(namespace: string, wanted: readonly string[]): Promise<void> {
  await world.until(`the children are ${wanted.join(', ')}`, async () => {
    const found = await childrenOf(namespace);
    return JSON.stringify(found) === JSON.stringify(wanted) ? true : new Unmet(found);
  });
}

const all = [
  'Deployment pf-orders-db',
  'NetworkPolicy pf-orders-db',
  'PodDisruptionBudget pf-orders-db',
  'Service orders-db',
  'ServiceAccount pf-orders-db',
];

test('a PortForward gets its children, each owned by it, and a status', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2 }));
  await expectChildren(namespace, all);
  for (const kind of kinds) {
    for (const { metadata } of await world.list(kind, namespace)) {
      assert.equal(metadata.ownerReferences?.[0]?.name, 'orders-db');
      assert.equal(metadata.ownerReferences?.[0]?.controller, true);
    }
  }
  const ready = await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'PodStarting' });
  assert.equal(ready.observedGeneration, 1);
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  await world.condition(namespace, 'orders-db', 'Reconciling', { status: 'True', reason: 'Progressing' });
});

test('the API server reads back every child as it was applied, so that a second pass writes nothing', async () => {
  const namespace = await world.namespace();
  await world.apply(
    namespace,
    'orders-db',
    ordersDb({
      replicas: 2,
      pod: {
        resources: { requests: { cpu: '1000m', memory: '1024Mi' }, limits: { memory: '2048Mi' } },
        nodeSelector: { zone: 'a' },
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
        labels: { team: 'shop' },
      },
      access: { from: [{ namespaceSelector: { matchLabels: { team: 'shop' } } }, { ipBlock: { cidr: '10.0.0.0/8' } }] },
    }),
  );
  await expectChildren(namespace, all);
  await world.quiet(controller);
  const before = controller.writes().length;
  await world.server.kubectl(['label', 'pf', 'orders-db', '-n', namespace, 'touched=yes']);
  await world.quiet(controller);
  assert.deepEqual(controller.writes().slice(before), []);
});

test('fifty passes forced by a label that is not ours write nothing', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2 }));
  await expectChildren(namespace, all);
  const pod = await world.pod(namespace, 'orders-db', 'orders-db-1');
  await world.rolledOut(namespace, 'orders-db', 2);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'True' });
  await world.quiet(controller);
  const before = controller.writes().length;
  const passes = async (): Promise<number> => {
    const page = await (await fetch(`http://127.0.0.1:${controller.adminPort}/metrics`)).text();
    return Number(
      /controller_runtime_reconcile_total\{controller="portforward",result="success"\} (\d+)/.exec(page)?.[1],
    );
  };
  const first = await passes();
  for (let touch = 1; touch <= 50; touch += 1) {
    await world.kube.apply(
      { group: 'portforward.dev', version: 'v1alpha1', kind: 'PortForward', plural: 'portforwards', namespaced: true },
      {
        apiVersion: 'portforward.dev/v1alpha1',
        kind: 'PortForward',
        metadata: { name: 'orders-db', namespace, labels: { touch: String(touch) } },
      },
      { signal: limit(), fieldManager: 'somebody' },
    );
    await world.until('the pass is over', async () => (await passes()) >= first + touch);
  }
  await world.quiet(controller);
  assert.deepEqual(controller.writes().slice(before), []);
  await pod.remove();
});

test('a child that is deleted or edited by hand is as the document wants it within two seconds', async (t) => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2 }));
  await expectChildren(namespace, all);
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  for (const kind of kinds) {
    const [child] = await world.list(kind, namespace);
    assert.ok(child);
    const started = Date.now();
    await world.delete(kind, namespace, child.metadata.name);
    await world.until(`${child.kind} is back`, async () => {
      const now = await world.get(kind, namespace, child.metadata.name);
      return now !== undefined && now.metadata.uid !== child.metadata.uid;
    });
    judge(t, `${child.kind} is back`, Date.now() - started, 2_000);
  }
  await world.server.kubectl([
    'patch',
    'service',
    'orders-db',
    '-n',
    namespace,
    '--type=merge',
    '-p',
    '{"spec":{"selector":{"app":"mine"}}}',
  ]);
  await world.until('the selector is ours again', async () => {
    const service = await world.service(namespace, 'orders-db');
    return service?.spec?.selector?.['portforward.dev/name'] === 'orders-db';
  });
  await world.server.kubectl(['scale', 'deployment', 'pf-orders-db', '-n', namespace, '--replicas=7']);
  await world.until('the replicas are ours again', async () => {
    return (await world.get(deployments, namespace, 'pf-orders-db'))?.spec?.replicas === 2;
  });
  await world.until('an Event tells of it', async () => {
    const text = await world.server.kubectl(['get', 'events', '-n', namespace, '-o', 'jsonpath={..reason}']);
    return text.includes('DriftRepaired');
  });
});

test('a renamed Service and a budget that is no longer wanted leave nothing old behind', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2, service: { name: 'old-name' } }));
  await expectChildren(
    namespace,
    all.map((child) => child.replace('Service orders-db', 'Service old-name')).toSorted(),
  );
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 1, service: { name: 'new-name' } }));
  await expectChildren(namespace, [
    'Deployment pf-orders-db',
    'NetworkPolicy pf-orders-db',
    'Service new-name',
    'ServiceAccount pf-orders-db',
  ]);
  // It is written after the children.
  await world.until('the status has the new address', async () => {
    return (await world.status(namespace, 'orders-db')).address === `new-name.${namespace}.svc`;
  });
});

test('a Service of that name that belongs to somebody else is left alone, and taken no notice of once it is gone', async () => {
  const namespace = await world.namespace();
  await world.server.kubectl(['create', 'service', 'clusterip', 'orders-db', '--tcp=80:80', '-n', namespace]);
  await world.apply(namespace, 'orders-db', ordersDb());
  const ready = await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'ResourceConflict' });
  assert.match(ready.message, /Service .*orders-db exists already/);
  await world.condition(namespace, 'orders-db', 'Stalled', { status: 'True', reason: 'ResourceConflict' });
  assert.deepEqual((await world.service(namespace, 'orders-db'))?.spec?.ports?.[0]?.port, 80);
  await world.delete(services, namespace, 'orders-db');
  // It is looked at again every 30 s; a touch is what a person who cannot wait does.
  await world.server.kubectl(['label', 'pf', 'orders-db', '-n', namespace, 'touched=yes']);
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  assert.equal((await world.service(namespace, 'orders-db'))?.spec?.ports?.[0]?.port, 5432);
  await world.condition(namespace, 'orders-db', 'Ready', { reason: 'PodStarting' });
});

test('suspend and zero replicas run no pods and keep the Service', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ suspend: true, replicas: 2 }));
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'Suspended' });
  assert.equal((await world.get(deployments, namespace, 'pf-orders-db'))?.spec?.replicas, 0);
  assert.deepEqual(await world.list(podDisruptionBudgets, namespace), []);
  assert.ok(await world.service(namespace, 'orders-db'));
  const status = await world.status(namespace, 'orders-db');
  assert.deepEqual(
    status.conditions?.map(({ type }) => type),
    ['Accepted', 'Programmed', 'Connected', 'DestinationReachable', 'Ready'],
  );
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 0 }));
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'ScaledToZero' });
});

test('kubectl scale sets the pods of the tunnel', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb());
  await expectChildren(
    namespace,
    all.filter((child) => !child.startsWith('PodDisruptionBudget')),
  );
  await world.server.kubectl(['scale', 'pf', 'orders-db', '-n', namespace, '--replicas=3']);
  await expectChildren(namespace, all);
  await world.until('three replicas', async () => {
    return (await world.get(deployments, namespace, 'pf-orders-db'))?.spec?.replicas === 3;
  });
});

test('only what the pods need changes their template: not access, service or replicas, but reconnectAt', async () => {
  const namespace = await world.namespace();
  const template = async () => (await world.get(deployments, namespace, 'pf-orders-db'))?.spec?.template;
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  const before = await template();
  await world.apply(
    namespace,
    'orders-db',
    ordersDb({ replicas: 3, service: { name: 'other' }, access: { from: [{ podSelector: {} }] } }),
  );
  await world.until('the edit is done', async () => {
    return (await world.get(deployments, namespace, 'pf-orders-db'))?.spec?.replicas === 3;
  });
  assert.deepEqual(await template(), before);
  await world.apply(namespace, 'orders-db', ordersDb(), { 'portforward.dev/reconnectAt': '2026-01-01' });
  await world.until('the annotation is on the template', async () => {
    return (await template())?.metadata?.annotations?.['portforward.dev/reconnectAt'] === '2026-01-01';
  });
});

test('a document of another class is not touched', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'orders-db', ordersDb({ className: 'other' }));
  await world.apply(namespace, 'ours', ordersDb());
  await world.condition(namespace, 'ours', 'Programmed', { status: 'True' });
  assert.equal((await world.status(namespace, 'orders-db')).observedGeneration, -1);
  assert.deepEqual(await world.service(namespace, 'orders-db'), undefined);
});

test('documents that this install does not act on say so and get no objects', async () => {
  const namespace = await world.namespace();
  const refusals: [string, object, string][] = [
    ['insecure', { ssh: { ...ordersDb().ssh, hostKeyPolicy: 'InsecureIgnore' } }, 'InsecureHostKeysNotAllowed'],
    [
      'endpoint',
      {
        ssh: undefined,
        ssm: {
          region: 'eu-west-1',
          target: { instanceId: 'i-0123456789abcdef0' },
          endpoints: { ssm: 'https://ssm.example.com' },
        },
      },
      'EndpointNotAllowed',
    ],
    ['exposed', { service: { type: 'LoadBalancer' } }, 'ServiceTypeNotAllowed'],
    ['annotated', { pod: { annotations: { 'example.com/a': 'b' } } }, 'AnnotationNotAllowed'],
  ];
  for (const [name, more, reason] of refusals) {
    await world.apply(namespace, name, ordersDb(more));
    const accepted = await world.condition(namespace, name, 'Accepted', { status: 'False', reason });
    assert.ok(accepted.message.length > 40);
    await world.condition(namespace, name, 'Stalled', { status: 'True', reason });
    await world.condition(namespace, name, 'Ready', { status: 'False', reason });
  }
  assert.deepEqual(await childrenOf(namespace), []);
});

test('what the API server refuses of a document becomes a condition', async () => {
  const namespace = await world.namespace();
  // The definition itself compares amounts below 9E alone.
  const resources = { requests: { memory: '9500P' }, limits: { memory: '1Gi' } };
  await world.apply(namespace, 'orders-db', ordersDb({ pod: { resources } }));
  const programmed = await world.condition(namespace, 'orders-db', 'Programmed', {
    status: 'False',
    reason: 'InvalidSpec',
  });
  assert.match(programmed.message, /memory/);
  await world.apply(namespace, 'orders-db', ordersDb());
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
});

/** Applies a rule of admission, and resolves once the API server follows it: it refuses a Service with that sentence. */
async function admission(namespace: string, rule: object, sentence: RegExp): Promise<() => Promise<void>> {
  const kubectl = (words: readonly string[], input: string) => world.server.kubectl([...words, '-f', '-'], { input });
  await kubectl(['apply'], JSON.stringify(rule));
  const create = ['create', 'service', 'clusterip', 'any', '--tcp=1:1', '-n', namespace, '--dry-run=server'];
  await world.until('the rule is followed', () =>
    world.server.kubectl(create).then(
      () => false,
      (error: unknown) => sentence.test(String(error)) || new Unmet(String(error)),
    ),
  );
  return async () => void (await kubectl(['delete'], JSON.stringify(rule)));
}

test('a webhook that does not answer keeps no other object from being made, and is told until it is gone', async () => {
  const namespace = await world.namespace();
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
  const webhook = {
    name: 'nobody.example.com',
    clientConfig: { url: 'https://127.0.0.1:9/' },
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 1,
    namespaceSelector,
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['services'] }],
  };
  const remove = await admission(
    namespace,
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: namespace },
      webhooks: [webhook],
    },
    /nobody\.example\.com/,
  );
  await world.apply(namespace, 'orders-db', ordersDb({ replicas: 2 }));
  const programmed = await world.condition(namespace, 'orders-db', 'Programmed', {
    status: 'False',
    reason: 'ApiServerError',
  });
  assert.match(programmed.message, /services\/orders-db: .*failed calling webhook "nobody\.example\.com"/);
  await expectChildren(
    namespace,
    all.filter((child) => !child.startsWith('Service ')),
  );
  assert.equal((await world.status(namespace, 'orders-db')).observedGeneration, 1);
  await world.condition(namespace, 'orders-db', 'Ready', { status: 'False', reason: 'ApiServerError' });
  await world.condition(namespace, 'orders-db', 'Reconciling', { status: 'True' });
  await remove();
  await world.condition(namespace, 'orders-db', 'Programmed', { status: 'True' });
  await expectChildren(namespace, all);
});

test('what an admission policy refuses is told as forbidden, with its sentence', async () => {
  const namespace = await world.namespace();
  const rule = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: namespace } };
  const resourceRules = [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['services'] }];
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
  const items = [
    {
      ...rule,
      kind: 'ValidatingAdmissionPolicy',
      spec: {
        matchConstraints: { resourceRules },
        validations: [{ expression: 'false', message: 'this team has no Services' }],
      },
    },
    {
      ...rule,
      kind: 'ValidatingAdmissionPolicyBinding',
      spec: { policyName: namespace, validationActions: ['Deny'], matchResources: { namespaceSelector } },
    },
  ];
  const remove = await admission(namespace, { apiVersion: 'v1', kind: 'List', items }, /this team has no Services/);
  await world.apply(namespace, 'orders-db', ordersDb());
  const programmed = await world.condition(namespace, 'orders-db', 'Programmed', {
    status: 'False',
    reason: 'Forbidden',
  });
  assert.match(programmed.message, /this team has no Services/);
  await remove();
});

test('pods of another class are not asked how they are', async () => {
  const namespace = await world.namespace();
  await controller.stop();
  const asked: string[] = [];
  const originOf = ({ metadata }: Pod): string => {
    asked.push(metadata.name);
    return 'http://127.0.0.1:9';
  };
  controller = await world.controller([], { originOf });
  await world.apply(namespace, 'theirs', ordersDb({ className: 'other' }));
  await world.apply(namespace, 'ours', ordersDb());
  await world.pod(namespace, 'ours', 'ours-1');
  const deployment = await world.get(deployments, namespace, 'pf-ours');
  const spec = deployment?.spec?.template.spec;
  assert.ok(spec);
  const theirDeployment = { ...deployment, metadata: { ...deployment.metadata, name: 'pf-theirs' } };
  const theirs = await FakePod.create(world.kube, {
    namespace,
    name: 'theirs-1',
    portForward: 'theirs',
    template: '',
    spec,
    owner: await world.replicaSet(namespace, 'theirs', theirDeployment),
  });
  await theirs.setReady(true);
  asked.length = 0;
  await world.until('ours is asked again and again', async () => asked.length > 5);
  assert.ok(!asked.includes('theirs-1'));
  await theirs.close();
  await controller.stop();
  controller = await world.controller();
});

test('a pod with a forged owner is neither asked nor told about: its ReplicaSet must be there, and the tunnel’s Deployment its maker', async () => {
  const namespace = await world.namespace();
  await world.apply(namespace, 'ours', ordersDb());
  const real = await world.pod(namespace, 'ours', 'real-1');
  const deployment = await world.get(deployments, namespace, 'pf-ours');
  const spec = deployment?.spec?.template.spec;
  assert.ok(spec);
  const owner = await world.replicaSet(namespace, 'ours', deployment);
  const template = templateOf(deployment) ?? '';
  const other = { ...deployment, metadata: { ...deployment.metadata, name: 'web' } };
  const claims = {
    'no-set': { ...owner, name: 'pf-ours-def' },
    'other-uid': { ...owner, uid: randomUUID() },
    'other-version': { ...owner, apiVersion: 'example.com/v1' },
    'other-maker': await world.replicaSet(namespace, 'ours', other, 'pf-ours-xyz'),
  };
  const forged = await Promise.all(
    Object.entries(claims).map(async ([name, claim]) => {
      const options = { namespace, name, portForward: 'ours', template, spec, owner: claim };
      const pod = await FakePod.create(world.kube, options);
      pod.answer = failedStatus('ConnectFailed', 'forged');
      world.reach(pod);
      await pod.setReady(true);
      return pod;
    }),
  );
  await world.condition(namespace, 'ours', 'Ready', { status: 'True' });
  const before = real.reads;
  await world.until('the real pod is asked again and again', async () => real.reads > before + 5);
  assert.deepEqual(
    forged.map(({ name, reads }) => `${name} ${reads}`),
    Object.keys(claims).map((name) => `${name} 0`),
  );
  const { tunnels, readyReplicas } = await world.status(namespace, 'ours');
  assert.deepEqual([tunnels?.map(({ pod }) => pod), readyReplicas], [['real-1'], 1]);
});
