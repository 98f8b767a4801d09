// Who turns credentials to another far side is asked for each Secret again, and for nothing else; Secrets to pull images with are asked for.
// Neighbours: admission.test.ts (first naming, and the cage), helm/templates/admission-references.yaml.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { namespace, renderText } from './chart.ts';

let server: ApiServer;

const editor = 'mallory';
const ports = [{ port: 5432 }];
const bastion = { host: 'bastion.example.com', port: 22 };
const ssh = {
  user: 'tunnel',
  bastions: [bastion, { host: 'other.example.com', secretRef: { name: 'second' } }],
  jumpHosts: [{ host: 'jump.example.com' }],
  secretRef: { name: 'first' },
  knownHosts: 'bastion.example.com ssh-ed25519 AAAA',
};
const ssm = {
  region: 'eu-west-1',
  target: { instanceId: 'i-0abc' },
  assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/a' },
  secretRef: { name: 'aws' },
};
const fly = { org: 'shop', network: 'prod', secretRef: { name: 'fly' } };
const stored: Readonly<Record<string, object>> = {
  ssh: { ports, ssh, pod: { imagePullSecrets: [{ name: 'registry' }] } },
  ssm: { ports, ssm },
  fly: { ports: [{ port: 5432, destinationHost: 'db.internal' }], fly },
};

before(async () => {
  server = await startApiServer();
  for (const name of [namespace, 'shop']) await server.kubectl(['create', 'namespace', name]);
  await apply(await renderText());
  await server.untilServed('portforwards.portforward.dev');
  for (const [name, spec] of Object.entries(stored)) await apply(JSON.stringify(document(name, spec)));
  const rules = [{ apiGroups: ['portforward.dev'], resources: ['portforwards'], verbs: ['*'] }];
  const rbac = 'rbac.authorization.k8s.io';
  const metadata = { name: editor, namespace: 'shop' };
  await apply(JSON.stringify({ apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules }));
  const subjects = [{ kind: 'User', apiGroup: rbac, name: editor }];
  const roleRef = { apiGroup: rbac, kind: 'Role', name: editor };
  await apply(JSON.stringify({ apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata, roleRef, subjects }));
  // Policies act a moment after they are stored.
  const deadline = performance.now() + 20_000;
  while (!(await acts())) {
    assert.ok(performance.now() < deadline, 'the policies do not act');
    await delay(100);
  }
});

after(() => server.stop());

const document = (name: string, spec: object) => ({ apiVersion, kind, metadata: { name, namespace: 'shop' }, spec });

async function apply(text: string): Promise<void> {
  await server.kubectl(['apply', '--server-side', '--filename', '-'], { input: text });
}

/** What the editor, who may read no Secret, is told about a change; '' if nothing is refused. */
async function told(name: string, patch: object): Promise<string> {
  const args = ['-n', 'shop', 'patch', 'portforward', name, '--type=merge', '--patch', JSON.stringify({ spec: patch })];
  try {
    await server.kubectl([...args, '--as', editor, '--dry-run=server']);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function acts(): Promise<boolean> {
  const named = await told('ssh', { ssh: { secretRef: { name: 'third' } } });
  const pulled = await told('ssh', { pod: { imagePullSecrets: [{ name: 'third' }] } });
  return named.includes('may not use the Secret third') && pulled.includes('may not use the Secret third');
}

const asked: readonly [string, string, object][] = [
  ['ssh', 'spec.ssh.user', { ssh: { user: 'root' } }],
  ['ssh', 'spec.ssh.bastions', { ssh: { bastions: [{ host: 'evil.example.com' }, ssh.bastions[1]] } }],
  ['ssh', 'spec.ssh.bastions', { ssh: { bastions: [{ ...bastion, port: 2222 }, ssh.bastions[1]] } }],
  ['ssh', 'spec.ssh.bastions', { ssh: { bastions: [{ ...bastion, user: 'root' }, ssh.bastions[1]] } }],
  ['ssh', 'spec.ssh.bastions', { ssh: { bastions: [...ssh.bastions, { host: 'evil.example.com' }] } }],
  ['ssh', 'spec.ssh.bastions', { ssh: { bastions: [{ ...bastion, secretRef: { name: 'second' } }] } }],
  ['ssh', 'spec.ssh.jumpHosts', { ssh: { jumpHosts: [{ host: 'evil.example.com' }] } }],
  ['ssh', 'spec.ssh.knownHosts', { ssh: { knownHosts: 'bastion.example.com ssh-ed25519 AAAAC3Nz' } }],
  ['ssh', 'spec.ssh.knownHosts', { ssh: { knownHosts: null } }],
  ['ssh', 'spec.ssh.hostKeyPolicy', { ssh: { hostKeyPolicy: 'InsecureIgnore' } }],
  ['ssh', 'spec.ssh.secretRef', { ssh: { secretRef: { name: 'second' } } }],
  ['ssm', 'spec.ssm.region', { ssm: { region: 'us-east-1' } }],
  ['ssm', 'spec.ssm.target', { ssm: { target: { instanceId: 'i-0def' } } }],
  ['ssm', 'spec.ssm.assumeRole', { ssm: { assumeRole: { externalId: 'other' } } }],
  ['ssm', 'spec.ssm.assumeRole', { ssm: { assumeRole: null } }],
  ['ssm', 'spec.ssm.endpoints', { ssm: { endpoints: { sts: 'https://vpce-0abc.sts.eu-west-1.vpce.amazonaws.com' } } }],
  ['ssm', 'spec.fly', { ssm: null, fly: { app: 'a', secretRef: { name: 'aws' } } }],
  ['fly', 'spec.fly.org', { fly: { org: 'evil' } }],
  ['fly', 'spec.fly.app', { fly: { org: null, network: null, app: 'evil' } }],
  ['fly', 'spec.fly.network', { fly: { network: 'dev' } }],
];

for (const [name, field, patch] of asked) {
  test(`${field} is asked for: ${JSON.stringify(patch)}`, async () => {
    const sentence = await told(name, patch);
    assert.ok(sentence.includes(`${field} changes who gets its credentials: you may not use the Secret`), sentence);
    assert.match(sentence, /ask for the verb get on it, or for create on pods/);
  });
}

const free: readonly [string, object][] = [
  ['ssh', { replicas: 3 }],
  ['ssh', { suspend: true }],
  ['ssh', { ports: [{ port: 5433, destinationHost: 'other.db.internal' }] }],
  ['ssh', { ssh: { bastions: ssh.bastions.toReversed() } }],
  ['ssh', { ssh: { bastions: [bastion] } }],
  ['ssh', { ssh: { jumpHosts: null } }],
  ['ssh', { ssh: { serverAliveIntervalSeconds: 5, connectTimeoutSeconds: 20, bastionPolicy: 'Spread' } }],
  ['ssh', { pod: { imagePullSecrets: [] } }],
  ['ssm', { ssm: { sessions: 2, maxSessionMinutes: 20 } }],
  ['fly', { fly: { region: 'fra', transport: 'UDP' } }],
];

for (const [name, patch] of free) {
  test(`nobody is asked for ${JSON.stringify(patch)}`, async () => {
    assert.equal(await told(name, patch), '');
  });
}

test('who names a Secret to pull images with must be allowed to get it; one that is named already may stay', async () => {
  const names = (...all: string[]) => ({ pod: { imagePullSecrets: all.map((name) => ({ name })) } });
  assert.equal(await told('ssh', names('registry')), '');
  const sentence = await told('ssh', names('registry', 'mirror'));
  assert.match(sentence, /spec\.pod\.imagePullSecrets: you may not use the Secret mirror: ask for the verb get on it/);
});

test('sixteen Secrets to pull with beside seventeen of hops are within what one request may cost', async () => {
  const list = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  const hop = (name: string) => ({ host: `${name}.example.com`, secretRef: { name } });
  const all = {
    ports,
    ssh: { user: 'u', secretRef: { name: 's' }, bastions: list('b', 8).map(hop), jumpHosts: list('j', 8).map(hop) },
    pod: { imagePullSecrets: list('p', 16).map((name) => ({ name })) },
  };
  const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }];
  const rbac = 'rbac.authorization.k8s.io';
  const metadata = { name: 'reader', namespace: 'shop' };
  const edit = { apiGroups: ['portforward.dev'], resources: ['portforwards'], verbs: ['*'] };
  await apply(JSON.stringify({ apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules: [...rules, edit] }));
  const subjects = [{ kind: 'User', apiGroup: rbac, name: 'reader' }];
  const roleRef = { apiGroup: rbac, kind: 'Role', name: 'reader' };
  await apply(JSON.stringify({ apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata, roleRef, subjects }));
  const args = ['apply', '--server-side', '--dry-run=server', '--as', 'reader', '--filename', '-'];
  const deadline = performance.now() + 20_000;
  for (;;) {
    const refusal = await server.kubectl(args, { input: JSON.stringify(document('widest', all)) }).then(
      () => '',
      (error: unknown) => String(error),
    );
    if (refusal === '') return;
    // The role acts a moment after it is stored.
    assert.ok(performance.now() < deadline, refusal);
    await delay(100);
  }
});
