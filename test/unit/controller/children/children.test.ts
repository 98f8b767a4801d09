// Rules of the objects of a tunnel that must hold whatever the document says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { parseTunnelConfig } from '../../../../src/contract/tunnel-config.ts';
import { templateOf } from '../../../../src/controller/children/deployment.ts';
import { desiredChildren } from '../../../../src/controller/children/index.ts';
import { hashOf } from '../../../../src/controller/kube/base/hash.ts';
import { assertEvery } from '../../../support/assert-every.ts';
import { portForward, tunnelSettings } from '../portforwards.ts';

const children = (...args: Parameters<typeof portForward>) =>
  desiredChildren(portForward(...args), tunnelSettings('--allowed-labels=a,team'), true);
const containerOf = (...args: Parameters<typeof portForward>) => {
  const [container] = children(...args).deployment.spec?.template.spec?.containers ?? [];
  assert.ok(container);
  return container;
};
const template = (...args: Parameters<typeof portForward>): string =>
  hashOf(children(...args).deployment.spec?.template);

test('a pod meets Pod Security restricted and carries no Kubernetes token', () => {
  const { deployment, serviceAccount } = children();
  const spec = deployment.spec?.template.spec;
  assert.equal(spec?.automountServiceAccountToken, false);
  assert.equal(serviceAccount?.automountServiceAccountToken, false);
  assert.equal(spec?.securityContext?.runAsNonRoot, true);
  assert.equal(spec?.securityContext?.runAsUser, 65532);
  assert.deepEqual(spec?.securityContext?.seccompProfile, { type: 'RuntimeDefault' });
  const { securityContext } = containerOf();
  assert.deepEqual(securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
});

test('a Service leads to container ports by name, and each of its names exists on the container exactly once', () => {
  const port = fc.record({
    port: fc.integer({ min: 1, max: 65535 }),
    name: fc.option(fc.stringMatching(/^[a-oq-z][a-z0-9]{0,14}$/), { nil: undefined }),
  });
  const ports = fc
    .uniqueArray(port, { minLength: 1, maxLength: 64, selector: (each) => each.port })
    .filter((list) => new Set(list.map((each) => each.name ?? `p${each.port}`)).size === list.length);
  fc.assert(
    fc.property(ports, (list) => {
      const { service, deployment } = children({ ports: list });
      const containerPorts = deployment.spec?.template.spec?.containers[0]?.ports ?? [];
      const names = containerPorts.map(({ name }) => name);
      const numbers = containerPorts.map(({ containerPort }) => containerPort);
      assert.equal(new Set(names).size, names.length);
      assert.equal(new Set(numbers).size, numbers.length);
      assertEvery(numbers, (number) => number >= 1024 && number <= 65535, 'no capability is needed');
      for (const { targetPort } of service.spec?.ports ?? []) {
        assert.equal(names.filter((name) => name === targetPort).length, 1);
      }
    }),
    { numRuns: 50 },
  );
});

test('the environment holds the config and no secret, and the sidecar can parse it', () => {
  const { env } = containerOf();
  const text = env?.find(({ name }) => name === 'PORTFORWARD_CONFIG')?.value;
  const config = parseTunnelConfig(text ?? '');
  assert.equal(config.name, 'orders-db');
  assert.equal(config.forwards[0]?.listenPort, 5432);
  assert.deepEqual(
    env?.map(({ name }) => name),
    ['PORTFORWARD_CONFIG', 'PORTFORWARD_POD_NAME', 'PORTFORWARD_POD_UID'],
  );
});

test('only the documented keys of a Secret are mounted, and the pod starts without it', () => {
  const volumes = children().deployment.spec?.template.spec?.volumes;
  const [secret] = volumes?.flatMap((volume) => volume.secret ?? []) ?? [];
  assert.equal(secret?.secretName, 'orders-bastion');
  assert.equal(secret?.optional, true);
  assert.deepEqual(
    secret?.items?.map(({ key }) => key),
    ['ssh-privatekey', 'identity', 'ssh-publickey-cert', 'passphrase', 'password', 'known_hosts'],
  );
});

test('access, service, replicas, suspend, class, labels and foreign annotations never change the pod template', () => {
  const before = template();
  for (const more of [
    { access: { from: [{ podSelector: {} }] } },
    { service: { name: 'other', type: 'ClusterIP', labels: { a: 'b' } } },
    { replicas: 5 },
    { suspend: true },
    { className: 'other' },
  ]) {
    assert.equal(template(more), before, JSON.stringify(more));
  }
  assert.equal(template({}, { labels: { a: 'b' }, annotations: { a: 'b' }, generation: 9 }), before);
});

test('reordering the ports changes nothing', () => {
  const a = { port: 5432 };
  const b = { port: 80, name: 'web' };
  assert.deepEqual(children({ ports: [a, b] }), children({ ports: [b, a] }));
});

test('what the sidecar needs, and reconnectAt, change the pod template and its mark', () => {
  const before = templateOf(children().deployment);
  assert.match(before ?? '', /^[0-9a-f]{32}$/);
  for (const changed of [
    children({ connection: { maxConnections: 5 } }),
    children({ ssh: { user: 'other', bastions: [{ host: 'b' }], secretRef: { name: 's' } } }),
    children({}, { annotations: { 'portforward.dev/reconnectAt': 'now' } }),
  ]) {
    assert.notEqual(templateOf(changed.deployment), before);
  }
});

test('a proxy and its certificates roll no pod of an ssh tunnel, which has no use for them', () => {
  const flags = [
    '--tunnel-https-proxy=http://proxy.example',
    '--tunnel-no-proxy=.svc',
    '--tunnel-ca-bundle=company-ca',
  ];
  const templates = [tunnelSettings(), tunnelSettings(...flags)].map((settings) =>
    hashOf(desiredChildren(portForward(), settings, true).deployment.spec?.template),
  );
  assert.equal(templates[0], templates[1]);
});

test('another role rolls the pods, which get it when they are made, and a tunnel without one knows nothing of it', () => {
  const throughAws = (irsaRoleArn?: string) =>
    children({
      ssh: undefined,
      ssm: { region: 'eu-west-1', target: { instanceId: 'i-0abc' }, ...(irsaRoleArn && { irsaRoleArn }) },
    });
  const role = 'arn:aws:iam::123456789012:role/portforward';
  const marks = [throughAws(), throughAws(role), throughAws(`${role}-2`)].map(({ deployment }) =>
    templateOf(deployment),
  );
  assert.equal(new Set(marks).size, 3);
  for (const { deployment } of [children(), throughAws()]) {
    assert.equal(deployment.spec?.template.metadata?.annotations?.['portforward.dev/identity'], undefined);
  }
});

test('a spread counts the pods of this PortForward unless the document says which', () => {
  const spread = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' };
  const own = { matchLabels: { app: 'other' } };
  const told = { ...spread, topologyKey: 'host', labelSelector: own };
  const { deployment } = children({ pod: { topologySpreadConstraints: [spread, told] } });
  assert.deepEqual(
    deployment.spec?.template.spec?.topologySpreadConstraints?.map(({ labelSelector }) => labelSelector),
    [deployment.spec?.selector, own],
  );
});

test('a pod may drain before it is killed', () => {
  const { deployment } = children({ connection: { drainTimeoutSeconds: 100 } });
  assert.equal(deployment.spec?.template.spec?.terminationGracePeriodSeconds, 110);
});

test('an own ServiceAccount is used and none is made', () => {
  const { serviceAccount, deployment } = children({ pod: { serviceAccountName: 'mine' } });
  assert.equal(serviceAccount, undefined);
  assert.equal(deployment.spec?.template.spec?.serviceAccountName, 'mine');
});

test('there is a budget from two replicas on, and none for one or while suspended', () => {
  assert.equal(children({ replicas: 2 }).podDisruptionBudget?.spec?.maxUnavailable, 1);
  assert.equal(children({ replicas: 1 }).podDisruptionBudget, undefined);
  assert.equal(children({ replicas: 2, suspend: true }).podDisruptionBudget, undefined);
});

test('nobody is let in by an empty list: without access it is the pods of the same namespace', () => {
  const [clients] = children().networkPolicy.spec?.ingress ?? [];
  assert.deepEqual(clients?.from, [{ podSelector: {} }]);
  assert.deepEqual(clients?.ports, [{ protocol: 'TCP', port: 'postgres' }]);
});

test("labels of ours win over the document's", () => {
  const { deployment } = children({ pod: { labels: { team: 'shop' } } });
  const labels = deployment.spec?.template.metadata?.labels;
  assert.equal(labels?.['team'], 'shop');
  assert.equal(labels?.['portforward.dev/name'], 'orders-db');
});

test('a config over 100 KiB is refused with its size', () => {
  const ports = Array.from({ length: 64 }, (_, index) => ({
    port: 2000 + index,
    destinationHost: `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.internal`,
  }));
  const ssh = {
    user: 'tunnel',
    bastions: [{ host: 'b' }],
    secretRef: { name: 's' },
    // A quotation mark takes two bytes in JSON.
    knownHosts: `b ssh-ed25519 AAAA\n${'"'.repeat(60_000)}`,
  };
  assert.throws(
    () => children({ ports, ssh }),
    (error) => error instanceof TunnelError && error.code === 'ConfigTooLarge' && /\d{6} bytes/.test(error.message),
  );
});

test('what the install does not allow is refused with the field and the limit', () => {
  const refusal = (more: Parameters<typeof portForward>[0], ...flags: string[]): string => {
    try {
      desiredChildren(portForward(more), tunnelSettings(...flags), true);
    } catch (error) {
      if (error instanceof TunnelError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'allowed';
  };
  const ssh = { user: 'u', bastions: [{ host: 'b' }], secretRef: { name: 's' }, hostKeyPolicy: 'InsecureIgnore' };
  assert.match(refusal({ ssh }), /^InsecureHostKeysNotAllowed: spec\.ssh\.hostKeyPolicy/);
  assert.equal(refusal({ ssh }, '--allow-insecure-host-keys'), 'allowed');
  assert.match(refusal({ service: { type: 'NodePort' } }), /^ServiceTypeNotAllowed: .*only ClusterIP/);
  assert.equal(refusal({ service: { type: 'NodePort' } }, '--allowed-service-types=NodePort'), 'allowed');
  const pod = { annotations: { 'mesh.example/inject': 'x' } };
  assert.match(refusal({ pod }), /^AnnotationNotAllowed: spec\.pod\.annotations has mesh\.example\/inject/);
  assert.equal(refusal({ pod }, '--allowed-annotation-prefixes=mesh.example'), 'allowed');
  assert.match(refusal({ pod }, '--allowed-annotation-prefixes=mesh'), /^AnnotationNotAllowed/);
  for (const [field, labelled] of [
    ['spec.pod.labels', { pod: { labels: { 'team.example/app': 'web' } } }],
    ['spec.service.labels', { service: { labels: { 'team.example/app': 'web' } } }],
  ] as const) {
    assert.equal(
      refusal(labelled),
      `LabelNotAllowed: ${field} has team.example/app, but the labels that this operator passes on are: none`,
    );
    assert.match(refusal(labelled, '--allowed-labels=app,team.example/ap,team.example'), /^LabelNotAllowed/);
    assert.equal(refusal(labelled, '--allowed-labels=team.example/app'), 'allowed');
    assert.equal(refusal(labelled, '--allowed-labels=team.example/'), 'allowed');
  }
  const urgent = { pod: { priorityClassName: 'system-node-critical' } };
  assert.match(
    refusal(urgent),
    /^PriorityClassNotAllowed: spec\.pod\.priorityClassName is system-node-critical, .*: none$/,
  );
  assert.match(refusal(urgent, '--allowed-priority-classes=system'), /^PriorityClassNotAllowed/);
  assert.equal(refusal(urgent, '--allowed-priority-classes=batch,system-node-critical'), 'allowed');
  const ssm = { region: 'eu-west-1', target: { instanceId: 'i-0abc' }, endpoints: { sts: 'https://sts.example.com' } };
  const aws = { ssh: undefined, ssm };
  assert.match(
    refusal(aws),
    /^EndpointNotAllowed: spec\.ssm\.endpoints\.sts: https:\/\/sts\.example\.com:443 is neither AWS’s sts of eu-west-1/,
  );
  assert.match(refusal(aws, '--allowed-aws-endpoints=https://other.example.com'), /^EndpointNotAllowed/);
  assert.equal(refusal(aws, '--allowed-aws-endpoints=https://sts.example.com'), 'allowed');
});

test('a reconnectAt that is no short plain text is refused, because it is copied into every pod template', () => {
  const refusal = (reconnectAt: string): string => {
    try {
      children({}, { annotations: { 'portforward.dev/reconnectAt': reconnectAt } });
    } catch (error) {
      if (error instanceof TunnelError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'allowed';
  };
  assert.equal(refusal('x'.repeat(64)), 'allowed');
  for (const value of ['x'.repeat(65), 'x'.repeat(200_000), '\u001b[31m', 'a\u202eb', 'a\nb']) {
    assert.match(
      refusal(value),
      /^InvalidSpec: metadata\.annotations: portforward\.dev\/reconnectAt has more than 64 characters/,
    );
    assert.ok(refusal(value).length < 300);
  }
});

test('the namespaces of the cluster and of the operator are refused, the latter unless it is watched by name', () => {
  const refusal = (namespace: string, ...flags: string[]): string => {
    try {
      desiredChildren(portForward({}, { namespace }), tunnelSettings(...flags), true);
    } catch (error) {
      if (error instanceof TunnelError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'allowed';
  };
  for (const namespace of ['kube-system', 'kube-public', 'kube-node-lease']) {
    assert.match(refusal(namespace, `--watch-namespaces=${namespace}`), /^NamespaceNotAllowed: .*cluster itself/);
  }
  assert.match(
    refusal('portforward-system'),
    /^NamespaceNotAllowed: the namespace portforward-system is the operator’s/,
  );
  assert.equal(refusal('portforward-system', '--watch-namespaces=portforward-system'), 'allowed');
  assert.equal(refusal('shop'), 'allowed');
});
