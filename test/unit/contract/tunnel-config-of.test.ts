// The sidecar’s config as it is computed from a document.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePortForward } from '../../../src/contract/api/parse.ts';
import type { PortForward } from '../../../src/contract/api/portforward.ts';
import { memoryDirectory, secretDirectory } from '../../../src/contract/pod.ts';
import { secretKeysOf, secretNamesOf } from '../../../src/contract/secrets.ts';
import { parseTunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { podPlacement, tunnelConfigOf } from '../../../src/contract/tunnel-config-of.ts';

function document(spec: Record<string, unknown>): PortForward {
  const parsed = parsePortForward({
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: { name: 'orders-db', namespace: 'shop' },
    spec,
  });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

const ssh = { user: 'tunnel', bastions: [{ host: 'bastion-a' }], secretRef: { name: 'orders-bastion' } };

test('the config of a document passes the sidecar’s own parse unchanged', () => {
  const config = tunnelConfigOf(document({ ports: [{ port: 5432, appProtocol: 'postgresql' }], ssh }));
  assert.deepEqual(parseTunnelConfig(JSON.stringify(config)), config);
  assert.equal(config.namespace, 'shop');
  assert.deepEqual(config.forwards, [
    {
      name: 'p5432',
      port: 5432,
      listenPort: 5432,
      destination: { host: 'localhost', port: 5432 },
      appProtocol: 'postgresql',
      health: 'Active',
    },
  ]);
});

test('a document for Session Manager: its target, identity and endpoints, and not what the install allows', () => {
  const ssm = {
    region: 'eu-west-1',
    target: { tags: { Role: 'bastion' } },
    assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/orders', externalId: 'shop' },
    irsaRoleArn: 'arn:aws:iam::123456789012:role/portforward',
    secretRef: { name: 'aws' },
    sessions: 3,
    maxSessionMinutes: 60,
    endpoints: { sts: 'https://sts.example.com' },
  };
  const ports = [{ port: 5432 }];
  const value = document({ ports, ssm });
  const config = tunnelConfigOf(value, podPlacement(value.spec));
  assert.deepEqual(parseTunnelConfig(JSON.stringify(config)), config);
  assert.equal(config.driver, 'ssm');
  assert.deepEqual(config.ssm, {
    region: 'eu-west-1',
    target: { tags: { Role: 'bastion' } },
    assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/orders', externalId: 'shop' },
    credentials: { secretName: 'aws', directory: '/etc/portforward/secrets/aws' },
    sessions: 3,
    maxSessionMinutes: 60,
    endpoints: { ssm: '', ssmmessages: '', sts: 'https://sts.example.com', ecs: '' },
  });
  for (const target of [
    { instanceId: 'mi-0123456789abcdef0' },
    { ecsTask: { cluster: 'shop', service: 'bastion', container: 'app' } },
  ]) {
    const least = tunnelConfigOf(document({ ports, ssm: { region: 'eu-west-1', target } }));
    assert.equal(least.driver, 'ssm');
    assert.deepEqual(parseTunnelConfig(JSON.stringify(least)), least);
    assert.deepEqual(least.ssm.target, target);
    assert.equal('credentials' in least.ssm || 'assumeRole' in least.ssm, false);
    assert.equal(least.ssm.sessions, 1);
  }
});

test('the order of the ports, the replicas and the Service leave the config as it is', () => {
  const ports = [{ port: 80 }, { port: 5432 }, { port: 443, destinationHost: 'web' }];
  const one = tunnelConfigOf(document({ ports, ssh }));
  const other = tunnelConfigOf(
    document({
      ports: ports.toReversed(),
      ssh,
      replicas: 5,
      service: { name: 'elsewhere' },
      access: { from: [{ podSelector: {} }] },
    }),
  );
  assert.equal(JSON.stringify(one), JSON.stringify(other));
});

test('a hop takes user and Secret from spec.ssh unless it has its own, and each Secret has its directory', () => {
  const value = document({
    ports: [{ port: 5432 }],
    ssh: {
      ...ssh,
      bastions: [{ host: 'a' }, { host: 'b', port: 2222, user: 'else', secretRef: { name: 'b-key' } }],
      jumpHosts: [{ host: 'jump' }],
    },
  });
  const config = tunnelConfigOf(value, {
    directoryOf: (name) => `/keys/${name}`,
    listenPortOf: (port) => port + 10_000,
    memoryDirectory: '',
  });
  assert.equal(config.driver, 'ssh');
  assert.deepEqual(config.ssh.bastions, [
    {
      host: 'a',
      port: 22,
      user: 'tunnel',
      credentials: { secretName: 'orders-bastion', directory: '/keys/orders-bastion' },
    },
    { host: 'b', port: 2222, user: 'else', credentials: { secretName: 'b-key', directory: '/keys/b-key' } },
  ]);
  assert.equal(config.ssh.jumpHosts[0]?.credentials?.secretName, 'orders-bastion');
  assert.equal(config.forwards[0]?.listenPort, 15_432);
  assert.deepEqual(secretNamesOf(value.spec), ['b-key', 'orders-bastion']);
  assert.ok(secretKeysOf(value.spec).includes('known_hosts'));
});

test('fly takes app or organization, the Secret and a folder in memory', () => {
  const fly = document({ ports: [{ port: 5432 }], fly: { app: 'orders-db', secretRef: { name: 'fly' } } });
  assert.deepEqual(secretNamesOf(fly.spec), ['fly']);
  const config = tunnelConfigOf(fly);
  assert.equal(config.driver, 'fly');
  assert.deepEqual(config.fly, {
    app: 'orders-db',
    network: '',
    region: '',
    credentials: { secretName: 'fly', directory: secretDirectory('fly') },
    transport: 'Auto',
    directory: memoryDirectory,
  });
  assert.deepEqual(config.forwards[0]?.destination, { host: 'orders-db.internal', port: 5432 });
});
