// What an administrator allows stands in the arguments of the pods that use it, never in the config.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noPermissions, permissionArguments } from '../../../src/contract/permissions.ts';
import { parseTunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { tunnelConfigOf } from '../../../src/contract/tunnel-config-of.ts';
import { desiredChildren } from '../../../src/controller/children/index.ts';
import { hashOf } from '../../../src/controller/kube/base/hash.ts';
import { portForward, tunnelSettings } from '../controller/portforwards.ts';

const endpoint = 'https://vpce.example.com:8443';
const throughAws = { region: 'eu-west-1', target: { instanceId: 'i-0abc' } };

function argumentsOf(spec: Parameters<typeof portForward>[0], ...flags: string[]): readonly string[] | undefined {
  const { deployment } = desiredChildren(portForward(spec), tunnelSettings(...flags), true);
  return deployment.spec?.template.spec?.containers[0]?.args;
}

test('a permission is an argument, and no permission is none', () => {
  assert.deepEqual(permissionArguments(noPermissions), []);
  const flyApiUrl = 'https://fly-api.example.com';
  const all = { awsEndpoints: ['https://b', 'https://a'], flyApiUrl, insecureHostKeys: true, nodeRole: true };
  assert.deepEqual(permissionArguments(all), [
    '--allow-insecure-host-keys',
    '--allow-node-role',
    '--fly-api-url=https://fly-api.example.com',
    '--allowed-aws-endpoint=https://a',
    '--allowed-aws-endpoint=https://b',
  ]);
});

test('only the pods that use a permission have its argument', () => {
  const flags = ['--allow-insecure-host-keys', '--allow-node-role', `--allowed-aws-endpoints=${endpoint}`];
  assert.deepEqual(argumentsOf({}, ...flags), ['sidecar']);
  const ssm = { ...throughAws, endpoints: { ssm: `${endpoint}/` } };
  assert.deepEqual(argumentsOf({ ssh: undefined, ssm }, ...flags), [
    'sidecar',
    '--allow-node-role',
    `--allowed-aws-endpoint=${endpoint}`,
  ]);
  const withKeys = { ...throughAws, secretRef: { name: 'aws' } };
  assert.deepEqual(argumentsOf({ ssh: undefined, ssm: withKeys }, ...flags), ['sidecar']);
});

test('another address of fly.io’s API is an argument of fly’s pods alone', () => {
  const flag = '--fly-api-url=https://fly-api.example.com';
  const throughFly = { ssh: undefined, fly: { app: 'orders-db', secretRef: { name: 'fly' } } };
  assert.deepEqual(argumentsOf(throughFly, flag), ['sidecar', flag]);
  assert.deepEqual(argumentsOf(throughFly), ['sidecar']);
  assert.deepEqual(argumentsOf({}, flag), ['sidecar']);
});

test('the native data path is turned off in ssh’s pods alone', () => {
  const flag = '--no-native-data-path';
  assert.deepEqual(argumentsOf({}, flag), ['sidecar', flag]);
  assert.deepEqual(argumentsOf({}), ['sidecar']);
  assert.deepEqual(argumentsOf({ ssh: undefined, ssm: throughAws }, flag), ['sidecar']);
});

test('another list of allowed endpoints replaces only the pods that name one of them', () => {
  const template = (spec: Parameters<typeof portForward>[0], ...flags: string[]): string =>
    hashOf(desiredChildren(portForward(spec), tunnelSettings(...flags), true).deployment.spec?.template);
  const more = `--allowed-aws-endpoints=${endpoint},https://other.example.com`;
  for (const spec of [{}, { ssh: undefined, ssm: throughAws }]) assert.equal(template(spec), template(spec, more));
  const naming = { ssh: undefined, ssm: { ...throughAws, endpoints: { ssm: endpoint } } };
  assert.notEqual(template(naming, `--allowed-aws-endpoints=${endpoint}`), template(naming, more));
});

test('a region that is no name is refused: it becomes part of a host', () => {
  const { metadata, spec } = portForward({ ssh: undefined, ssm: throughAws });
  const config = tunnelConfigOf({ metadata: { name: metadata.name, namespace: metadata.namespace }, spec });
  assert.ok(config.driver === 'ssm');
  const text = JSON.stringify({ ...config, ssm: { ...config.ssm, region: 'thief.example.com/' } });
  assert.throws(() => parseTunnelConfig(text), { code: 'ConfigUnreadable', message: /ssm\.region/ });
});
