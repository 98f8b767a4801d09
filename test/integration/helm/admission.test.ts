import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import { type StoredPortForward, validPortForward } from '../../../src/controller/base/portforward.ts';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { desiredChildren } from '../../../src/controller/children/index.ts';
import { appliedAnnotation, fieldManager } from '../../../src/controller/children/names.ts';
import { withAppliedHash } from '../../../src/controller/kube/apply/apply.ts';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import type { Deployment } from '../../../src/controller/kube/base/resources.ts';
import { controllerRules, installRules, leaseRules } from '../../../src/controller/rbac.ts';
import { corpus } from '../../corpus/corpus.ts';
import { controllerUser, namespace, renderText } from './chart.ts';

let server: ApiServer;
let owner: StoredPortForward;

const { tunnel: settings } = readSettings(['--tunnel-image=ghcr.io/portforward/portforward:0.1.0'], {
  POD_NAMESPACE: namespace,
});

const spec = {
  ports: [{ port: 5432, appProtocol: 'postgresql' }],
  ssh: { user: 'tunnel', bastions: [{ host: 'bastion.example.com' }], secretRef: { name: 'orders-bastion' } },
};

const portForward = (name: string, more: Readonly<Record<string, unknown>> = {}): object => ({
  apiVersion,
  kind,
  metadata: { name, namespace: 'shop' },
  spec: { ...spec, ...more },
});

before(async () => {
  server = await startApiServer();
  for (const name of [namespace, 'shop']) await server.kubectl(['create', 'namespace', name]);
  await server.kubectl(['apply', '--server-side', '--filename', '-'], { input: await renderText() });
  await server.untilServed('portforwards.portforward.dev');
  await apply(portForward('orders-db'));
  owner = JSON.parse(await server.kubectl(['-n', 'shop', 'get', 'portforward', 'orders-db', '--output', 'json']));
  await everyPolicyActs();
});

after(() => server.stop());

/** Each policy of the cage refuses something, so that what is let through later is let through by all of them. */
async function everyPolicyActs(): Promise<void> {
  const broken = (wanted: string, change: (object: Pod) => void): Pod => {
    const object = child(wanted) as unknown as Pod;
    change(object);
    return object;
  };
  const unowned = broken('NetworkPolicy', ({ metadata }) => (metadata.ownerReferences[0].controller = false));
  const pods = broken('Deployment', ({ spec: { template } }) => (template.spec.hostNetwork = true));
  const service = broken('Service', (object) => (object['spec'].selector = { app: 'payments' }));
  const account = broken('ServiceAccount', (object) => (object['automountServiceAccountToken'] = true));
  const policy = broken('NetworkPolicy', (object) => (object['spec'].podSelector = {}));
  const budget = broken('PodDisruptionBudget', (object) => (object['spec'].selector = {}));
  await refused(unowned, dryRunAs(controllerUser), /only objects that a PortForward controls/);
  await refused(pods, dryRunAs(controllerUser), /not spec\.template\.spec\.hostNetwork/);
  await refused(service, dryRunAs(controllerUser), /leads to its own pods/);
  await refused(account, dryRunAs(controllerUser), /ServiceAccount .*not automountServiceAccountToken/);
  await refused(policy, dryRunAs(controllerUser), /NetworkPolicy .*not spec\.podSelector/);
  await refused(budget, dryRunAs(controllerUser), /budget .*not spec\.selector/);
}

/** Applies as the API server's administrator, or with the given arguments. */
async function apply(object: object, args: readonly string[] = []): Promise<string> {
  const all = [
    'apply',
    '--server-side',
    '--force-conflicts',
    '--field-manager',
    fieldManager,
    ...args,
    '--filename',
    '-',
  ];
  return server.kubectl(all, { input: JSON.stringify(object) });
}

const as = (user: string): string[] => ['--as', user];
const dryRunAs = (user: string): string[] => [...as(user), '--dry-run=server'];

/** What the API server says when it refuses; '' when it does not. */
async function refusal(object: object, args: readonly string[]): Promise<string> {
  try {
    await apply(object, args);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Policies and rights act a moment after they are stored, so a refusal is awaited. */
async function refused(object: object, args: readonly string[], sentence: RegExp): Promise<void> {
  await eventually(async () => assert.match(await refusal(object, args), sentence));
}

async function allowed(object: object, args: readonly string[]): Promise<void> {
  await eventually(async () => assert.equal(await refusal(object, args), ''));
}

async function eventually(check: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(100);
    }
  }
}

/** Every object that the controller's own code wants, as it would apply it. */
function children(): KubeObject[] {
  const wanted = desiredChildren(validPortForward(owner), settings, false);
  return Object.values(wanted)
    .filter((child: KubeObject | undefined) => child !== undefined)
    .map((child: KubeObject) => withAppliedHash(child, owner, appliedAnnotation));
}

const child = <T extends KubeObject>(wanted: string): T =>
  structuredClone(children().find((object) => object.kind === wanted)) as T;

test('the cage lets through every object that the controller wants, its changes and its deletion', async () => {
  const all = children();
  assert.equal(all.length, 5);
  for (const object of all) await apply(object, as(controllerUser));
  const scaled = child<Deployment>('Deployment');
  if (scaled.spec !== undefined) Object.assign(scaled.spec, { replicas: 1 });
  await apply(scaled, as(controllerUser));
  for (const object of all) {
    await server.kubectl(['-n', 'shop', 'delete', object.kind ?? '', object.metadata.name, ...as(controllerUser)]);
  }
});

test('the cage lets through the tunnel of every good document, with every setting of the chart in use', async () => {
  const values = [
    `image.digest=sha256:${'0'.repeat(64)}`,
    'tunnels.httpsProxy=http://proxy.example.com:3128',
    'tunnels.noProxy=.svc',
    'tunnels.caBundle=corporate-ca',
    'tunnels.flyApiUrl=https://fly-api.example.com',
    'tracing.endpoint=http://collector.observability:4318',
    'tracing.headers={authorization,x-team}',
    'tracing.headersSecret=trace-headers',
    'allowedAnnotationPrefixes={example.com/,sidecar.istio.io/,service.beta.kubernetes.io/}',
    'allowedLabels={team,example.com/}',
    'allowedPriorityClasses={important}',
    'allowInsecureHostKeys=true',
    'allowNodeRole=true',
    'tunnels.nativeDataPath=false',
    'allowedAwsEndpoints={https://vpce.example.com:8443}',
  ];
  // An install of its own: its policies are about its own user alone.
  const [other, user] = ['full-system', 'system:serviceaccount:full-system:portforward'];
  const { tunnel: full } = readSettings(
    [
      `--tunnel-image=ghcr.io/portforward/portforward@sha256:${'0'.repeat(64)}`,
      '--tunnel-image-pull-secrets=registry',
      '--tunnel-https-proxy=http://proxy.example.com:3128',
      '--tunnel-no-proxy=.svc',
      '--tunnel-ca-bundle=corporate-ca',
      '--fly-api-url=https://fly-api.example.com',
      '--trace-endpoint=http://collector.observability:4318',
      '--trace-headers=authorization,x-team',
      '--trace-headers-secret=trace-headers',
      '--allowed-annotation-prefixes=example.com/,sidecar.istio.io/,service.beta.kubernetes.io/',
      '--allowed-labels=team,example.com/',
      '--allowed-priority-classes=important',
      '--allow-insecure-host-keys',
      '--allow-node-role',
      '--no-native-data-path',
      '--allowed-aws-endpoints=https://vpce.example.com:8443',
      '--metrics-scrape-from=[{"podSelector":{}}]',
    ],
    { POD_NAMESPACE: other },
  );
  await server.kubectl(['create', 'namespace', other]);
  await server.kubectl(['apply', '--server-side', '--force-conflicts', '--filename', '-'], {
    input: await renderText(values, other),
  });
  const unowned = child('NetworkPolicy') as unknown as Pod;
  delete unowned['metadata'].ownerReferences;
  // Its mark names the other install.
  delete unowned['metadata'].annotations;
  await refused(unowned, dryRunAs(user), /only objects that a PortForward controls/);
  const seen = new Set<string>();
  const items = corpus('good').flatMap(({ document }) => {
    const { metadata, spec: given } = document as StoredPortForward;
    const stored = { ...owner, metadata: { ...owner.metadata, name: metadata.name ?? 'generated' }, spec: given };
    try {
      const wanted = desiredChildren(validPortForward(stored), full, true);
      seen.add(Object.keys(given as object).find((key) => ['ssh', 'ssm', 'fly'].includes(key)) ?? '');
      return Object.values(wanted).flatMap((each: KubeObject | undefined) =>
        each === undefined ? [] : [withAppliedHash(each, stored, appliedAnnotation)],
      );
    } catch (error) {
      // What this install does not allow is never written.
      if (error instanceof TunnelError) return [];
      throw error;
    }
  });
  assert.ok(items.length > 100, `${items.length} objects`);
  assert.deepEqual([...seen].toSorted(), ['fly', 'ssh', 'ssm']);
  assert.equal(await refusal({ apiVersion: 'v1', kind: 'List', items }, dryRunAs(user)), '');
  // Traces go nowhere else, with no other header, and with the values of no other Secret.
  const traced = JSON.stringify(items.find((each) => each.kind === 'Deployment'));
  for (const [mine, stolen, sentence] of [
    ['http://collector.observability:4318', 'http://thief.example.com', /only the permissions/],
    ['--trace-header=x-team', '--trace-header=x-other', /only the permissions/],
    ['"secretName":"trace-headers"', '"secretName":"admin-token"', /documented keys of Secrets/],
    ['"key":"x-team"', '"key":"password"', /documented keys of Secrets/],
  ] as const) {
    assert.ok(traced.includes(mine), mine);
    assert.match(await refusal(JSON.parse(traced.replace(mine, stolen)) as KubeObject, dryRunAs(user)), sentence);
  }
});

test('the controller may write the status of a PortForward and nothing else of it', async () => {
  const status = {
    apiVersion,
    kind,
    metadata: { name: 'orders-db', namespace: 'shop' },
    status: { observedGeneration: 1 },
  };
  await apply(status, [...as(controllerUser), '--subresource=status']);
  await refused(portForward('orders-db', { replicas: 3 }), dryRunAs(controllerUser), /forbidden/i);
});

// oxlint-disable-next-line typescript/no-explicit-any -- objects are broken here on purpose, in ways that no type allows
type Pod = Record<string, any>;

/** What a thief of the controller's token would try with a Deployment → the sentence of the policy. */
const escapes: Readonly<Record<string, readonly [(pod: Pod, container: Pod, deployment: Pod) => void, RegExp]>> = {
  'no owner': [(_pod, _container, deployment) => delete deployment['metadata'].ownerReferences, /PortForward controls/],
  // With the labels of that name: else two policies refuse it, and which of them speaks is the API server's choice.
  'another name': [(_pod, _container, deployment) => named(deployment, 'other'), /named after their PortForward/],
  'another image': [(_pod, container) => (container['image'] = 'docker.io/evil/image:1'), /runs the image/],
  'an image that only begins alike': [
    (_pod, container) => (container['image'] = 'ghcr.io/portforward/portforward-evil:1'),
    /runs the image/,
  ],
  'another command': [
    (_pod, container) => (container['command'] = ['node', '--eval', 'steal()']),
    /not .*containers\.command/,
  ],
  'other arguments': [(_pod, container) => (container['args'] = ['controller']), /runs the sidecar/],
  'a hook': [
    (_pod, container) => (container['lifecycle'] = { postStart: { exec: { command: ['node', '-e', '1'] } } }),
    /not .*containers\.lifecycle/,
  ],
  'a probe that runs a program': [
    (_pod, container) => (container['livenessProbe'] = { exec: { command: ['node', '-e', '1'] } }),
    /not .*containers\.livenessProbe/,
  ],
  'code by NODE_OPTIONS': [
    (_pod, container) => container['env'].push({ name: 'NODE_OPTIONS', value: '--import=data:text/javascript,1' }),
    /environment variables of a tunnel/,
  ],
  'a Secret in a variable': [
    (_pod, container) => {
      container['env'].push({ name: 'HTTPS_PROXY', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } });
    },
    /none from a Secret/,
  ],
  'a whole Secret as environment': [
    (_pod, container) => (container['envFrom'] = [{ secretRef: { name: 's' } }]),
    /not .*containers\.envFrom/,
  ],
  'a second container': [
    (pod) => pod['containers'].push({ name: 'second', image: 'ghcr.io/portforward/portforward:1' }),
    /not .*containers\.second/,
  ],
  'an init container': [
    (pod) => (pod['initContainers'] = [{ name: 'first', image: 'ghcr.io/portforward/portforward:1' }]),
    /not .*spec\.initContainers/,
  ],
  'a token': [(pod) => (pod['automountServiceAccountToken'] = true), /not .*spec\.automountServiceAccountToken/],
  'a projected token': [
    (pod) => {
      pod['volumes'].push({ name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } });
    },
    /mounts only the documented keys of Secrets/,
  ],
  'the node’s files': [
    (pod) => pod['volumes'].push({ name: 'h', hostPath: { path: '/' } }),
    /mounts only the documented keys of Secrets/,
  ],
  'an undocumented key of a Secret': [
    (pod) => pod['volumes'].push({ name: 's', secret: { secretName: 's', items: [{ key: 'token', path: 'x' }] } }),
    /documented keys/,
  ],
  'a whole Secret as files': [
    (pod) => pod['volumes'].push({ name: 's', secret: { secretName: 's' } }),
    /documented keys/,
  ],
  'files over the program': [
    (_pod, container) => container['volumeMounts'].push({ name: 'tmp', mountPath: '/app' }),
    /nothing over its program/,
  ],
  'files over the program by ..': [
    (_pod, container) => container['volumeMounts'].push({ name: 'tmp', mountPath: '/etc/portforward/../../app' }),
    /nothing over its program|must not contain/,
  ],
  'the node’s network': [(pod) => (pod['hostNetwork'] = true), /not .*spec\.hostNetwork/],
  'the node’s processes': [(pod) => (pod['hostPID'] = true), /not .*spec\.hostPID/],
  'a node of choice': [(pod) => (pod['nodeName'] = 'control-plane'), /not .*spec\.nodeName/],
  'a forged name': [
    (pod) => (pod['hostAliases'] = [{ ip: '10.0.0.1', hostnames: ['bastion.example.com'] }]),
    /not .*spec\.hostAliases/,
  ],
  privileges: [
    (_pod, container) =>
      Object.assign(container['securityContext'], { privileged: true, allowPrivilegeEscalation: true }),
    /not .*containers\.securityContext/,
  ],
  'a capability': [
    (_pod, container) => (container['securityContext'].capabilities.add = ['NET_ADMIN']),
    /not .*containers\.securityContext/,
  ],
  root: [(_pod, container) => (container['securityContext'].runAsUser = 0), /not .*containers\.securityContext/],
  'another tunnel’s labels': [
    (_pod, _container, deployment) => labelled(deployment, 'other'),
    /selects its own pods|metadata\.labels\.portforward\.dev\/name/,
  ],
};

function labelled(deployment: Pod, name: string): void {
  deployment['spec'].template.metadata.labels['portforward.dev/name'] = name;
  deployment['spec'].selector.matchLabels['portforward.dev/name'] = name;
}

function named(deployment: Pod, name: string): void {
  deployment['metadata'].name = `pf-${name}`;
  deployment['metadata'].labels['portforward.dev/name'] = name;
  labelled(deployment, name);
}

for (const [what, [change, sentence]] of Object.entries(escapes)) {
  test(`with the controller’s own token nobody can give a tunnel pod ${what}`, async () => {
    const deployment = child<Deployment>('Deployment') as unknown as Pod;
    const pod: Pod = deployment['spec'].template.spec;
    change(pod, pod['containers'][0], deployment);
    await refused(deployment, dryRunAs(controllerUser), sentence);
  });
}

test('a Service of the controller leads to its own tunnel, inside the cluster', async () => {
  const changed = (change: (service: Pod) => void): Pod => {
    const service = child('Service') as unknown as Pod;
    change(service);
    return service;
  };
  const others = changed((service) => (service['spec'].selector = { app: 'payments' }));
  await refused(others, dryRunAs(controllerUser), /leads to its own pods/);
  const exposed = changed((service) => (service['spec'].type = 'LoadBalancer'));
  await refused(exposed, dryRunAs(controllerUser), /of type ClusterIP/);
  const stolen = changed((service) => (service['spec'].externalIPs = ['8.8.8.8']));
  await refused(stolen, dryRunAs(controllerUser), /not spec\.externalIPs/);
});

test('a ServiceAccount, a NetworkPolicy and a budget of the controller are about its own tunnel alone', async () => {
  const account = child('ServiceAccount') as unknown as Pod;
  account['automountServiceAccountToken'] = true;
  await refused(account, dryRunAs(controllerUser), /not automountServiceAccountToken/);
  const annotated = child('ServiceAccount') as unknown as Pod;
  annotated['metadata'].annotations = { 'iam.gke.io/gcp-service-account': 'admin@project' };
  await refused(annotated, dryRunAs(controllerUser), /not metadata\.annotations\.iam\.gke\.io/);
  const policy = child('NetworkPolicy') as unknown as Pod;
  policy['spec'].podSelector = {};
  await refused(policy, dryRunAs(controllerUser), /not spec\.podSelector/);
  const egress = child('NetworkPolicy') as unknown as Pod;
  egress['spec'].policyTypes = ['Ingress', 'Egress'];
  await refused(egress, dryRunAs(controllerUser), /not spec\.policyTypes/);
  const budget = child('PodDisruptionBudget') as unknown as Pod;
  budget['spec'].selector = { matchLabels: { app: 'payments' } };
  await refused(budget, dryRunAs(controllerUser), /not spec\.selector/);
});

test('the controller can neither take over nor delete what no PortForward controls, whatever owner it forges', async () => {
  const foreign = child<Deployment>('Deployment') as unknown as Pod;
  const { ownerReferences } = foreign['metadata'];
  delete foreign['metadata'].ownerReferences;
  await apply(foreign);
  try {
    foreign['metadata'].ownerReferences = ownerReferences;
    await refused(foreign, dryRunAs(controllerUser), /controls already/);
    const removal = server.kubectl([
      '-n',
      'shop',
      'delete',
      'deployment',
      foreign['metadata'].name,
      ...as(controllerUser),
    ]);
    await assert.rejects(removal, /controls already/);
  } finally {
    await server.kubectl(['-n', 'shop', 'delete', 'deployment', foreign['metadata'].name]);
  }
});

test('an object cannot be handed from one PortForward to another', async () => {
  const service = child('Service') as unknown as Pod;
  await apply(service, as(controllerUser));
  try {
    const other = structuredClone(service);
    other['metadata'].ownerReferences[0].uid = '00000000-0000-0000-0000-000000000000';
    // Of the same field manager: the reference is replaced, not added.
    assert.match(
      await refusal(other, dryRunAs(controllerUser)),
      /another PortForward|only objects that a PortForward controls/,
    );
  } finally {
    await server.kubectl(['-n', 'shop', 'delete', 'service', service['metadata'].name]);
  }
});

test('what others write is none of the cage’s business', async () => {
  const foreign = child<Deployment>('Deployment') as unknown as Pod;
  delete foreign['metadata'].ownerReferences;
  foreign['spec'].template.spec.containers[0].image = 'docker.io/library/nginx:1';
  assert.equal(await refusal(foreign, ['--dry-run=server']), '');
});

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

test('the API server’s own review of the controller’s rights is the documented list and nothing more', async () => {
  const rightsIn = async (where: string): Promise<string[]> => {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace: where },
    };
    const answer = await server.kubectl(
      ['create', '--validate=false', '--output', 'json', ...as(controllerUser), '--filename', '-'],
      {
        input: JSON.stringify(review),
      },
    );
    const { status } = JSON.parse(answer) as { status: { resourceRules: Rule[] } };
    return flat(
      status.resourceRules.filter(({ apiGroups }) =>
        apiGroups?.every((group) => group !== 'authorization.k8s.io' && group !== 'authentication.k8s.io'),
      ),
    );
  };
  const rules = [...controllerRules, ...installRules('portforward-system-portforward')];
  assert.deepEqual(await rightsIn('shop'), flat(rules));
  assert.deepEqual(await rightsIn(namespace), flat([...rules, ...leaseRules('portforward')]));
});

/** Each right as one text. */
function flat(rules: readonly Rule[]): string[] {
  const all = rules.flatMap(({ apiGroups = [], resources = [], verbs, resourceNames = [''] }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => resourceNames.map((name) => `${verb} ${group}/${resource} ${name}`)),
      ),
    ),
  );
  return [...new Set(all)].toSorted();
}

/** Lets a user do this in the namespace shop, beside editing PortForwards. */
async function grant(user: string, rules: readonly Rule[]): Promise<void> {
  const edit: Rule = {
    apiGroups: ['portforward.dev'],
    resources: ['portforwards'],
    verbs: ['get', 'create', 'patch', 'update', 'delete'],
  };
  const rbac = 'rbac.authorization.k8s.io';
  await apply({
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata: { name: user, namespace: 'shop' },
    rules: [edit, ...rules],
  });
  await apply({
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: user, namespace: 'shop' },
    roleRef: { apiGroup: rbac, kind: 'Role', name: user },
    subjects: [{ kind: 'User', apiGroup: rbac, name: user }],
  });
}

const secrets = (names: readonly string[], verbs: readonly string[] = ['get']): Rule => ({
  apiGroups: [''],
  resources: ['secrets'],
  verbs,
  resourceNames: names,
});

test('who names a Secret must be allowed to get that very Secret', async () => {
  await grant('alice', [secrets(['other-secret'])]);
  await refused(
    portForward('new'),
    dryRunAs('alice'),
    /you may not use the Secret orders-bastion: ask for the verb get on it/,
  );
  await grant('alice', [secrets(['orders-bastion'])]);
  await allowed(portForward('new'), dryRunAs('alice'));
});

test('who may run pods in the namespace may name its Secrets and ServiceAccounts', async () => {
  await grant('bob', [{ apiGroups: [''], resources: ['pods'], verbs: ['create'] }]);
  const both = portForward('new', { pod: { serviceAccountName: 'robot' } });
  await allowed(both, dryRunAs('bob'));
});

test('every place of a Secret is asked for: spec.ssh, each bastion, each jump host, ssm and fly', async () => {
  const hop = (name: string) => ({ host: `${name}.example.com`, secretRef: { name } });
  const names = (prefix: string) => Array.from({ length: 8 }, (_, index) => `${prefix}${index}`);
  const all = [...names('bastion'), ...names('jump'), 'common'];
  const ssh = {
    user: 'tunnel',
    secretRef: { name: 'common' },
    bastions: names('bastion').map(hop),
    jumpHosts: names('jump').map(hop),
  };
  const widest = portForward('new', { ssh });
  await grant('carol', [secrets(all)]);
  await allowed(widest, dryRunAs('carol'));
  for (const missing of ['bastion7', 'jump7', 'common']) {
    await grant('carol', [secrets(all.filter((name) => name !== missing))]);
    await refused(widest, dryRunAs('carol'), new RegExp(`you may not use the Secret ${missing}:`));
  }
  await grant('carol', []);
  const ports = spec.ports;
  const base = { apiVersion, kind, metadata: { name: 'new', namespace: 'shop' } };
  const ssm = {
    ...base,
    spec: { ports, ssm: { region: 'eu-west-1', target: { instanceId: 'i-0abc' }, secretRef: { name: 'aws' } } },
  };
  const fly = { ...base, spec: { ports, fly: { app: 'orders-db', secretRef: { name: 'fly' } } } };
  await refused(ssm, dryRunAs('carol'), /may not use the Secret aws:/);
  await refused(fly, dryRunAs('carol'), /may not use the Secret fly:/);
});

test('what a PortForward names already may stay when somebody else edits the rest of it', async () => {
  await grant('dave', []);
  await eventually(async () => {
    // As patches, which leave the references alone.
    await server.kubectl([
      '-n',
      'shop',
      'patch',
      'portforward',
      'orders-db',
      '--type=merge',
      '--patch',
      '{"spec":{"replicas":3}}',
      ...dryRunAs('dave'),
    ]);
  });
  const swap = '{"spec":{"ssh":{"secretRef":{"name":"somebody-elses"}}}}';
  await assert.rejects(
    server.kubectl([
      '-n',
      'shop',
      'patch',
      'portforward',
      'orders-db',
      '--type=merge',
      '--patch',
      swap,
      ...dryRunAs('dave'),
    ]),
    /may not use the Secret somebody-elses/,
  );
});

test('who names a ServiceAccount needs the verb use on it', async () => {
  await grant('erin', [secrets(['orders-bastion'])]);
  const robot = portForward('new', { pod: { serviceAccountName: 'robot' } });
  await refused(robot, dryRunAs('erin'), /may not run pods as the ServiceAccount robot: ask for the verb use/);
  const use: Rule = { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['use'], resourceNames: ['robot'] };
  await grant('erin', [secrets(['orders-bastion']), use]);
  await allowed(robot, dryRunAs('erin'));
});
