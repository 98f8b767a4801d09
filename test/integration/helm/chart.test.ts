import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { command } from '../../../lab/process/command.ts';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { controllerRules, installRules, leaseRules } from '../../../src/controller/rbac.ts';
import {
  helm,
  namespace,
  ofKind,
  type Rendered,
  render,
  renderTests,
  renderText,
  renderWithTests,
  root,
} from './chart.ts';

let server: ApiServer;

before(async () => {
  server = await startApiServer();
  for (const name of [namespace, 'shop', 'stock']) await server.kubectl(['create', 'namespace', name]);
  await testAccount(namespace, 'portforward');
});

after(() => server.stop());

/** The API server judges the pod of helm test only where its account is stored already. */
const testAccount = (where: string, fullname: string): Promise<string> =>
  server.kubectl(['create', 'serviceaccount', `${fullname}-test`, '--namespace', where]);

/** Each row switches on what the others leave off. */
const matrix: Readonly<Record<string, readonly string[]>> = {
  defaults: [],
  'two namespaces': ['watchNamespaces={shop,stock}'],
  'everything off': [
    'crds.enabled=false',
    'rbac.create=false',
    'rbac.aggregate=false',
    'admissionPolicies.references.enabled=false',
    'admissionPolicies.controller.enabled=false',
    'podDisruptionBudget.enabled=false',
    'metrics.service.enabled=false',
    'serviceAccount.create=false',
    'serviceAccount.name=mine',
  ],
  'everything on': [
    'flowSchema.enabled=true',
    'metrics.dashboards.enabled=true',
    'tracing.endpoint=http://collector.observability:4318',
    'tracing.headers={authorization,x-team}',
    'tracing.headersSecret=trace-headers',
    'metrics.perPortForward.enabled=true',
    'metrics.perPortForward.limit=50',
    'crds.keep=false',
    'replicaCount=3',
    'className=blue',
    `image.digest=sha256:${'0'.repeat(64)}`,
    'imagePullSecrets[0].name=registry',
    'tunnels.imagePullSecrets={registry,other}',
    'tunnels.httpsProxy=http://proxy.example.com:3128',
    'tunnels.noProxy=.svc\\,10.0.0.0/8',
    'tunnels.caBundle=corporate-ca',
    'tunnels.flyApiUrl=https://fly-api.example.com:8443',
    'tunnels.nativeDataPath=false',
    'tunnels.logLevel=debug',
    'allowInsecureHostKeys=true',
    'allowNodeRole=true',
    'allowedAwsEndpoints={https://vpce.example.com:8443}',
    'allowedAnnotationPrefixes={sidecar.istio.io/,example.com/}',
    'allowedLabels={team,example.com/}',
    'allowedPriorityClasses={batch}',
    'allowedServiceTypes={ClusterIP,LoadBalancer}',
    'metrics.scrapeFrom[0].namespaceSelector.matchLabels.team=observability',
    'controller.priorityClassName=system-cluster-critical',
    'controller.nodeSelector.disk=ssd',
    'controller.tolerations[0].operator=Exists',
    'controller.podLabels.team=platform',
    'controller.podAnnotations.note=yes',
    'controller.extraArgs={--workers=20}',
    'serviceAccount.annotations.note=yes',
  ],
};

function controllerArguments(objects: readonly Rendered[]): string[] {
  const [deployment] = ofKind(objects, 'Deployment') as unknown as readonly {
    spec: { template: { spec: { containers: readonly { args: string[] }[] } } };
  }[];
  return deployment?.spec.template.spec.containers[0]?.args ?? [];
}

test('the chart passes helm lint without a warning', async () => {
  await helm(['lint', './helm', '--strict', '--quiet']);
});

/** YAML reads each of them as something else than text: a truth value, a number, nothing. */
for (const word of ['y', '1e3', 'null', '017']) {
  test(`a release called ${word} in a namespace of that name is taken as it is rendered`, async () => {
    await server.kubectl(['create', 'namespace', word]);
    for (const fullname of [`${word}-portforward`, word]) await testAccount(word, fullname);
    const values = [
      'flowSchema.enabled=true',
      'crds.enabled=false',
      'metrics.scrapeFrom[0].podSelector.matchLabels.team=observability',
    ];
    const named = [`fullnameOverride=${word}`, `serviceAccount.name=${word}`];
    for (const texts of [[], named, [`watchNamespaces={shop,${word}}`]]) {
      const input = await renderWithTests(values, word, word, texts);
      await server.kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename', '-'], { input });
    }
  });
}

for (const [name, values] of Object.entries(matrix)) {
  test(`with ${name}, a real API server takes every object as it is rendered`, async () => {
    const text = await renderWithTests(values);
    // Strict: an unknown or repeated field is an error.
    await server.kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename', '-'], { input: text });
  });

  test(`with ${name}, the controller understands the flags that it is started with`, async () => {
    const [command, ...flags] = controllerArguments(await render(values));
    assert.equal(command, 'controller');
    readSettings(flags, { POD_NAMESPACE: namespace, POD_NAME: 'controller-0' });
  });
}

test('the API server adds nothing to the admission policies, so that nothing that compares them with Git sees a difference', async () => {
  const text = await renderText();
  const rendered = (await render()).filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'));
  assert.equal(rendered.length, 18);
  const stored = JSON.parse(
    await server.kubectl(['apply', '--dry-run=server', '--output', 'json', '--filename', '-'], { input: text }),
  ) as { readonly items: readonly Rendered[] };
  for (const { kind, metadata, spec } of rendered) {
    const found = stored.items.find((each) => each.kind === kind && each.metadata.name === metadata.name);
    assert.deepEqual(found?.['spec'], spec, `${kind} ${metadata.name}`);
  }
});

test('helm test makes a pod of the operator’s image that Pod Security restricted admits, and rights that go with it', async () => {
  await server.kubectl(['create', 'namespace', 'guarded']);
  await server.kubectl(['label', 'namespace', 'guarded', 'pod-security.kubernetes.io/enforce=restricted']);
  await testAccount('guarded', 'portforward');
  const everything = matrix['everything on'] ?? [];
  const input = await renderWithTests(everything, 'guarded');
  const objects = await renderTests(everything);
  const [pod] = ofKind(objects, 'Pod') as unknown as readonly {
    spec: { containers: readonly { image: string; args: string[] }[]; imagePullSecrets: unknown };
  }[];
  assert.equal(pod?.spec.containers[0]?.image, `ghcr.io/portforward/portforward@sha256:${'0'.repeat(64)}`);
  assert.deepEqual(pod.spec.imagePullSecrets, [{ name: 'registry' }]);
  assert.ok(pod.spec.containers[0]?.args.includes('--class-name=blue'));
  await server.kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename', '-'], { input });
  for (const { kind, metadata } of objects)
    assert.match(
      metadata.annotations?.['helm.sh/hook-delete-policy'] ?? '',
      /hook-succeeded/,
      `${kind} goes afterwards`,
    );
  const rights = (ofKind(objects, 'Role') as unknown as readonly { rules: unknown }[]).map(({ rules }) => rules);
  assert.deepEqual(rights, [
    [
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        verbs: ['get'],
        resourceNames: ['portforward'],
      },
    ],
    [{ apiGroups: ['portforward.dev'], resources: ['portforwards'], verbs: ['create'] }],
  ]);
  const places = ofKind(await renderTests(['watchNamespaces={shop,stock}']), 'Role').map(
    ({ metadata }) => metadata.namespace,
  );
  assert.deepEqual(places, [namespace, 'shop']);
});

test('values become the settings that they name', async () => {
  const [, ...flags] = controllerArguments(await render(matrix['everything on']));
  const settings = readSettings(flags, { POD_NAMESPACE: namespace, POD_NAME: 'controller-0' });
  assert.equal(settings.className, 'blue');
  assert.equal(settings.workers, 20);
  assert.equal(settings.portForwardSeries, 50);
  assert.equal(settings.admissionPolicies, 'portforward-system-portforward');
  assert.deepEqual(settings.tunnel, {
    image: `ghcr.io/portforward/portforward@sha256:${'0'.repeat(64)}`,
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: ['registry', 'other'],
    httpsProxy: 'http://proxy.example.com:3128',
    noProxy: '.svc,10.0.0.0/8',
    caBundle: 'corporate-ca',
    flyApiUrl: 'https://fly-api.example.com:8443',
    logLevel: 'debug',
    noNativeDataPath: true,
    allowInsecureHostKeys: true,
    allowNodeRole: true,
    watchNamespaces: [],
    allowedAwsEndpoints: ['https://vpce.example.com:8443'],
    allowedAnnotationPrefixes: ['sidecar.istio.io/', 'example.com/'],
    allowedLabels: ['team', 'example.com/'],
    allowedPriorityClasses: ['batch'],
    allowedServiceTypes: ['ClusterIP', 'LoadBalancer'],
    traceEndpoint: 'http://collector.observability:4318',
    traceHeaders: ['authorization', 'x-team'],
    traceHeadersSecret: 'trace-headers',
    metricsScrapeFrom: [{ namespaceSelector: { matchLabels: { team: 'observability' } } }],
    operatorNamespace: namespace,
    leaseName: 'portforward',
    controllerPodLabels: {
      'app.kubernetes.io/name': 'portforward',
      'app.kubernetes.io/instance': 'portforward',
      'app.kubernetes.io/component': 'controller',
    },
  });
});

test('the controller’s pods carry the labels by which tunnel pods let them in', async () => {
  const objects = await render(['controller.podLabels.team=platform']);
  const [, ...flags] = controllerArguments(objects);
  const { tunnel } = readSettings(flags, { POD_NAMESPACE: namespace });
  const [deployment] = ofKind(objects, 'Deployment') as unknown as readonly {
    spec: { template: { metadata: { labels: Record<string, string> } } };
  }[];
  const labels = deployment?.spec.template.metadata.labels ?? {};
  for (const [key, value] of Object.entries(tunnel.controllerPodLabels)) assert.equal(labels[key], value);
});

test('the roles are the table of the code: cluster-wide, or in each watched namespace and nowhere else', async () => {
  const everywhere = await render();
  const tunnelRules = [...controllerRules, ...installRules('portforward-system-portforward')];
  const cluster = ofKind(everywhere, 'ClusterRole').filter(({ metadata }) => !/-(editor|viewer)$/.test(metadata.name));
  assert.deepEqual(
    cluster.map(({ rules }) => rules),
    [tunnelRules],
  );
  const own = ofKind(everywhere, 'Role');
  assert.deepEqual(
    own.map(({ metadata, rules }) => [metadata.namespace, rules]),
    [[namespace, leaseRules('portforward')]],
  );

  const limited = await render(['watchNamespaces={shop,stock}']);
  assert.deepEqual(ofKind(limited, 'ClusterRoleBinding'), []);
  assert.deepEqual(
    ofKind(limited, 'Role').map(({ metadata, rules }) => [metadata.namespace, rules]),
    [
      ['shop', tunnelRules],
      ['stock', tunnelRules],
      [namespace, leaseRules('portforward')],
    ],
  );
  assert.deepEqual(
    ofKind(limited, 'RoleBinding').map(({ metadata }) => metadata.namespace),
    ['shop', 'stock', namespace],
  );
});

test('editing is added to edit and admin, reading to view', async () => {
  const roles = ofKind(await render(), 'ClusterRole');
  const labelled = (label: string): string[] =>
    roles
      .filter(({ metadata }) => metadata.labels[`rbac.authorization.k8s.io/aggregate-to-${label}`] === 'true')
      .map(({ metadata }) => metadata.name);
  assert.deepEqual(labelled('edit'), ['portforward-system-portforward-editor']);
  assert.deepEqual(labelled('admin'), ['portforward-system-portforward-editor']);
  assert.deepEqual(labelled('view'), ['portforward-system-portforward-viewer']);
});

test('a misspelt value, a wrong type and an impossible number are refused before anything is installed', async () => {
  const refused: Readonly<Record<string, RegExp>> = {
    'alowedServiceTypes={ClusterIP}': /alowedServiceTypes/,
    'allowedAwsEndpoints={http://plain.example.com}': /allowedAwsEndpoints/,
    'tunnels.flyApiUrl=http://plain.example.com': /flyApiUrl/,
    'allowedServiceTypes={ExternalName}': /allowedServiceTypes/,
    'allowedAnnotationPrefixes={example.com/team-}': /allowedAnnotationPrefixes/,
    'allowedLabels={Example.com/}': /allowedLabels/,
    'allowedPriorityClasses={High}': /allowedPriorityClasses/,
    'image.digest=latest': /digest/,
    'replicaCount=many': /replicaCount/,
    'metrics.scrapeFrom[0].namespace=monitoring': /scrapeFrom/,
    'className=Not_A_Label': /className/,
    'tunnels.caBundle=Not A Name': /caBundle/,
    'tunnels.logLevel=loud': /logLevel/,
  };
  for (const [value, sentence] of Object.entries(refused)) {
    await assert.rejects(renderText([value]), sentence, value);
  }
  await assert.rejects(
    renderText(['metrics.serviceMonitor.enabled=true', 'metrics.service.enabled=false']),
    /metrics\.service/,
  );
});

test('a single replica has no disruption budget, which would block drains', async () => {
  assert.equal(ofKind(await render(), 'PodDisruptionBudget').length, 1);
  assert.deepEqual(ofKind(await render(['replicaCount=1']), 'PodDisruptionBudget'), []);
});

test('the monitors select the controller’s Service and every tunnel pod', async () => {
  const objects = await render([
    'metrics.serviceMonitor.enabled=true',
    'metrics.podMonitor.enabled=true',
    'metrics.podMonitor.labels.release=prometheus',
  ]);
  const [service] = ofKind(objects, 'Service');
  const [monitor] = ofKind(objects, 'ServiceMonitor') as unknown as readonly {
    spec: { selector: { matchLabels: Record<string, string> } };
  }[];
  for (const [key, value] of Object.entries(monitor?.spec.selector.matchLabels ?? {}))
    assert.equal(service?.metadata.labels[key], value);
  const [pods] = ofKind(objects, 'PodMonitor');
  assert.equal(pods?.metadata.labels['release'], 'prometheus');
});

test('the CustomResourceDefinition outlives the release by default', async () => {
  const annotation = async (values: readonly string[]) => {
    const [crd] = ofKind(await render(values), 'CustomResourceDefinition') as unknown as readonly {
      metadata: { annotations?: Record<string, string> };
    }[];
    return crd?.metadata.annotations?.['helm.sh/resource-policy'];
  };
  assert.equal(await annotation([]), 'keep');
  assert.equal(await annotation(['crds.keep=false']), undefined);
});

test('npm run manifests prints all of it as one plain manifest that a real API server takes', async () => {
  const manifest = await command(
    process.execPath,
    ['scripts/manifests.ts', '--namespace', 'plain', '--set', 'className=green'],
    { cwd: root },
  );
  await server.kubectl(['create', 'namespace', 'plain']);
  await server.kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename', '-'], { input: manifest });
  for (const kind of [
    'Namespace',
    'CustomResourceDefinition',
    'Deployment',
    'ClusterRole',
    'ValidatingAdmissionPolicy',
  ]) {
    assert.match(manifest, new RegExp(`^kind: ${kind}$`, 'm'));
  }
  assert.match(manifest, /--class-name=green/);
  assert.doesNotMatch(manifest, /managed-by: Helm/);
});

test('the controller gets a NetworkPolicy only where the values name who scrapes it', async () => {
  assert.deepEqual(ofKind(await render([]), 'NetworkPolicy'), []);
  const named = await render(['metrics.scrapeFrom[0].namespaceSelector.matchLabels.team=observability']);
  const specOf = (kind: string) =>
    ofKind(named, kind).map((object) => (object as unknown as { readonly spec: { readonly selector?: object } }).spec);
  assert.deepEqual(specOf('NetworkPolicy'), [
    {
      podSelector: specOf('Deployment')[0]?.selector,
      policyTypes: ['Ingress'],
      ingress: [
        {
          ports: [{ port: 'admin', protocol: 'TCP' }],
          from: [{ namespaceSelector: { matchLabels: { team: 'observability' } } }],
        },
      ],
    },
  ]);
});

test('helm uninstall leaves the definition and the PortForwards, and nothing else', async () => {
  const place = ['--namespace', 'shop', '--kubeconfig', server.kubeconfig];
  const before = await everything();
  await helm(['install', 'gone', './helm', ...place]);
  await server.untilServed('portforwards.portforward.dev');
  const document = {
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: { name: 'orders-db', namespace: 'stock' },
    spec: {
      ports: [{ port: 5432, destinationHost: 'orders.db.internal' }],
      ssm: { region: 'eu-west-1', target: { tags: { Role: 'bastion' } } },
    },
  };
  await server.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(document) });
  await helm(['uninstall', 'gone', ...place]);
  // Nobody collects garbage here: what goes with its owner is seen on a real cluster (test/cluster/release.test.ts).
  const left = (await everything()).filter((each) => !before.includes(each));
  const definition = 'customresourcedefinition.apiextensions.k8s.io/portforwards.portforward.dev';
  assert.deepEqual(left, [definition, 'portforward.portforward.dev/orders-db']);
  await server.kubectl(['delete', 'crd', 'portforwards.portforward.dev']);
});

/** The names of all objects of all kinds; Leases and Events of the API server itself come and go. */
async function everything(): Promise<string[]> {
  const kinds = (await server.kubectl(['api-resources', '--verbs=list', '--output=name'])).trim().split('\n');
  const steady = kinds.filter((kind) => !/^(events|leases|componentstatuses|apiservices)\b/.test(kind));
  const names = await server.kubectl([
    'get',
    steady.join(','),
    '--all-namespaces',
    '--ignore-not-found',
    '--output',
    'name',
  ]);
  return names.trim().split('\n').toSorted();
}
