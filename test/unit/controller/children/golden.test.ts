// The objects of a tunnel, whole, as reviewed files: test/golden/*.yaml. `UPDATE_GOLDEN=1` writes them anew; read the diff.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { desiredChildren } from '../../../../src/controller/children/index.ts';
import { portForward, tunnelSettings } from '../portforwards.ts';

const folder = join(import.meta.dirname, '../../../golden');

const everything = {
  className: 'blue',
  replicas: 3,
  ports: [
    { port: 5432, name: 'postgres', destinationHost: 'orders.db.internal', appProtocol: 'postgresql' },
    { port: 80, destinationHost: 'fd00::5', destinationPort: 8080, appProtocol: 'http' },
    { port: 9808, name: 'socket', destinationSocket: '/run/app.sock' },
  ],
  ssh: {
    user: 'tunnel',
    bastions: [
      { host: 'a.example.com', port: 2222 },
      { host: 'b.example.com', user: 'other', secretRef: { name: 'b-key' } },
    ],
    bastionPolicy: 'Spread',
    jumpHosts: [{ host: 'jump.example.com' }],
    secretRef: { name: 'orders-bastion' },
    knownHosts: 'a.example.com ssh-ed25519 AAAA\n',
    hostKeyPolicy: 'InsecureIgnore',
  },
  service: {
    name: 'orders',
    type: 'LoadBalancer',
    annotations: { 'lb.example.com/internal': 'true' },
    labels: { team: 'shop' },
  },
  connection: { mode: 'OnDemand', drainTimeoutSeconds: 120 },
  healthCheck: { readinessPolicy: 'Destination' },
  access: { from: [{ namespaceSelector: { matchLabels: { team: 'shop' } } }] },
  pod: {
    serviceAccountName: 'orders-identity',
    imagePullSecrets: [{ name: 'mirror' }, { name: 'own' }],
    resources: { requests: { cpu: 1 }, limits: { memory: '512Mi' } },
    nodeSelector: { zone: 'a' },
    tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'other' } } },
        ],
      },
    },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }],
    priorityClassName: 'high',
    labels: { team: 'shop' },
    annotations: { 'lb.example.com/pod': 'x' },
  },
};

const throughAws = {
  ports: [{ port: 5432, destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
  ssh: undefined,
  ssm: {
    region: 'eu-west-1',
    target: { tags: { Role: 'bastion' } },
    assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/orders', externalId: 'shop', sessionTags: { team: 'shop' } },
    irsaRoleArn: 'arn:aws:iam::123456789012:role/portforward',
    secretRef: { name: 'aws' },
    sessions: 2,
    maxSessionMinutes: 60,
    endpoints: { ssm: 'https://vpce.example.com:8443' },
  },
};

const cases = {
  'orders-db': () => desiredChildren(portForward(), tunnelSettings(), true),
  'one-replica-not-ready': () => desiredChildren(portForward({ replicas: 1 }), tunnelSettings(), false),
  suspended: () => desiredChildren(portForward({ suspend: true }), tunnelSettings(), false),
  'through-aws': () =>
    desiredChildren(
      portForward(throughAws),
      tunnelSettings(
        '--allowed-aws-endpoints=https://vpce.example.com:8443',
        '--tunnel-https-proxy=http://proxy.example:3128',
        '--tunnel-no-proxy=.svc',
        '--tunnel-ca-bundle=company-ca',
      ),
      true,
    ),
  'every-field': () =>
    desiredChildren(
      portForward(everything, { annotations: { 'portforward.dev/reconnectAt': '2026-01-01T00:00:00Z', other: 'x' } }),
      tunnelSettings(
        '--allow-insecure-host-keys',
        '--allowed-service-types=ClusterIP,LoadBalancer',
        '--allowed-annotation-prefixes=lb.example.com/',
        '--allowed-labels=team',
        '--allowed-priority-classes=high',
        '--tunnel-image-pull-policy=Never',
        '--tunnel-image-pull-secrets=mirror',
        '--tunnel-https-proxy=http://proxy.example:3128',
        '--tunnel-no-proxy=.svc,10.0.0.0/8',
        '--tunnel-ca-bundle=company-ca',
        '--trace-endpoint=http://collector.observability:4318',
        '--trace-headers=authorization',
        '--trace-headers-secret=trace-headers',
        '--metrics-scrape-from=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}]',
      ),
      true,
    ),
};

for (const [name, children] of Object.entries(cases)) {
  test(`the objects of ${name} are those of the golden file`, () => {
    const objects = Object.values(children()).filter((child) => child !== undefined);
    const text = objects.map((child) => stringify(child, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
    const file = join(folder, `${name}.yaml`);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text);
    assert.equal(text, readFileSync(file, 'utf8'));
  });
}
