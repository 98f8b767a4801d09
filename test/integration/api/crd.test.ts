// What the generated CRD does in a real API server beyond accepting and refusing: defaults, pruning, immutability, scaling, columns,
// merging by two managers, and what `kubectl explain` teaches.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import type { Structural } from '../../../scripts/generate/structural.ts';
import { parsePortForward } from '../../../src/contract/api/parse.ts';
import { corpus } from '../../corpus/corpus.ts';
import { type Api, collection, crdConditions, openApiPath, startApi } from './api.ts';

let api: Api;
before(async () => {
  api = await startApi();
});
after(() => api[Symbol.asyncDispose]());

test('the CRD is established, with its names accepted and no complaint about its structure', async () => {
  assert.deepEqual(await crdConditions(api), ['Established=True', 'NamesAccepted=True']);
});

test('kubectl explain teaches every field of ssh', async () => {
  const told = (await api.server.kubectl(['explain', 'pf.spec.ssh'])).replaceAll(/\s+/g, ' ');
  assert.match(told, /Reach the private network through OpenSSH bastions/);
  for (const field of [
    'bastions',
    'jumpHosts',
    'knownHosts',
    'hostKeyPolicy',
    'secretRef',
    'serverAliveIntervalSeconds',
  ]) {
    assert.match(told, new RegExp(`${field} <[^>]+>( -required-)?( enum: [A-Za-z, ]+)? [A-Z]`), field);
  }
  assert.match(told, /ssh-keyscan/);
});

test('every field of the spec has a description in the cluster', async () => {
  const { body } = await api.call('GET', openApiPath);
  const published = Object.entries(body.components?.schemas ?? {}).find(([name]) => name.endsWith('.PortForward'));
  const fields = fieldsOf(published?.[1].properties?.['spec'] ?? {}, 'spec');
  assert.ok(fields.length > 150, `${fields.length} fields`);
  for (const { path, description } of fields) assert.match(description ?? '', /^.{10,}[.}]$/, path);
});

test('the server fills in the same defaults as parsePortForward', async () => {
  for (const { name, document } of corpus('good')) {
    const answer = await api.call('POST', `${collection}?dryRun=All`, JSON.stringify(document));
    const parsed = parsePortForward(document);
    assert.ok(parsed.ok);
    assert.deepEqual(answer.body.spec, parsed.value.spec, name);
    assert.partialDeepStrictEqual(answer.body.status, { observedGeneration: -1 }, name);
  }
});

test('an object as the server stores it parses to itself', async () => {
  for (const { name, document } of corpus('good')) {
    const { body } = await api.call('POST', `${collection}?dryRun=All`, JSON.stringify(document));
    const parsed = parsePortForward(body);
    assert.ok(parsed.ok, name);
    assert.deepEqual(parsed.value, body, name);
  }
});

test('an unknown field is pruned with a warning where the client does not ask for strictness', async () => {
  const document = example('unknown', { ...minimal, image: 'busybox' });
  const { status, warnings, body } = await api.call('POST', `${collection}?fieldValidation=Warn`, document);
  assert.equal(status, 201);
  assert.match(warnings.join(), /unknown field \\"spec.image\\"/);
  assert.equal(body.spec?.['image'], undefined);
});

test('className cannot be changed, set or cleared after creation', async () => {
  await create('coloured', { ...minimal, className: 'blue' });
  for (const className of ['green', '', null]) {
    const patch = JSON.stringify({ spec: { className } });
    const { status, body } = await api.call('PATCH', `${collection}/coloured`, patch, 'application/merge-patch+json');
    assert.equal(status, 422);
    assert.match(body.message ?? '', /spec.className: Invalid value: .*className is immutable: delete the PortForward/);
  }
  await create('plain', minimal);
  const set = JSON.stringify({ spec: { className: 'blue' } });
  const { status } = await api.call('PATCH', `${collection}/plain`, set, 'application/merge-patch+json');
  assert.equal(status, 422);
});

test('kubectl scale changes replicas and cannot pass the limits', async () => {
  await create('scaled', minimal);
  await api.server.kubectl(['scale', 'pf/scaled', '--replicas=5']);
  assert.equal(await api.server.kubectl(['get', 'pf/scaled', '-o', 'jsonpath={.spec.replicas}']), '5');
  await assert.rejects(api.server.kubectl(['scale', 'pf/scaled', '--replicas=21']), /less than or equal to 20/);
  const ssm = { region: 'eu-west-1', target: { instanceId: 'i-0abc' }, sessions: 16 };
  await create('sessions', { ports: [{ port: 1 }], ssm });
  await api.server.kubectl(['scale', 'pf/sessions', '--replicas=4']);
  await assert.rejects(api.server.kubectl(['scale', 'pf/sessions', '--replicas=5']), /is more than 64: lower sessions/);
});

test('the scale subresource tells the observed replicas and the selector', async () => {
  await create('observed', minimal);
  await writeStatus('observed', { replicas: 2, selector: 'portforward.dev/name=observed' });
  const { body } = await api.call('GET', `${collection}/observed/scale`);
  assert.deepEqual(body.status, { replicas: 2, selector: 'portforward.dev/name=observed' });
});

test('a status is written only through its subresource, and is refused if it does not fit', async () => {
  await create('told', minimal);
  const smuggled = JSON.stringify({ status: { via: 'elsewhere' } });
  await api.call('PATCH', `${collection}/told`, smuggled, 'application/merge-patch+json');
  assert.equal(await api.server.kubectl(['get', 'pf/told', '-o', 'jsonpath={.status.via}']), '');
  const wrong = JSON.stringify({ status: { conditions: [{ type: 'Sunny', status: 'True' }] } });
  const refused = await api.call('PATCH', `${collection}/told/status`, wrong, 'application/merge-patch+json');
  assert.equal(refused.status, 422);
});

test('kubectl get shows what a person wants to know', async () => {
  await create('shown', minimal);
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: 'fine',
    lastTransitionTime: '2026-01-02T03:04:05Z',
  };
  await writeStatus('shown', {
    conditions: [ready],
    driver: 'ssh',
    via: 'bastion.example.com:22',
    address: 'shown.default.svc',
    readyReplicas: 1,
    readyPods: '1/2',
    destinations: 'localhost:5432',
  });
  const short = table(await api.server.kubectl(['get', 'pf', 'shown']));
  assert.deepEqual(short[0], ['NAME', 'READY', 'DRIVER', 'VIA', 'ADDRESS', 'READY-PODS', 'AGE']);
  assert.deepEqual(short[1]?.slice(0, -1), [
    'shown',
    'True',
    'ssh',
    'bastion.example.com:22',
    'shown.default.svc',
    '1/2',
  ]);
  const wide = table(await api.server.kubectl(['get', 'pf', 'shown', '-o', 'wide']));
  assert.deepEqual(wide[0]?.slice(-2), ['REASON', 'DESTINATIONS']);
  assert.deepEqual(wide[1]?.slice(-2), ['Ready', 'localhost:5432']);
});

test('an object that no operator has seen is not finished for kstatus', async () => {
  await create('unseen', minimal);
  assert.equal(await api.server.kubectl(['get', 'pf/unseen', '-o', 'jsonpath={.status.observedGeneration}']), '-1');
});

test('an object that no operator has seen tells a person what it waits for', async () => {
  await create('waiting', { ...minimal, className: 'nobody' });
  const wide = table(await api.server.kubectl(['get', 'pf', 'waiting', '-o', 'wide']));
  assert.match(wide[1]?.join(' ') ?? '', /^waiting Unknown .* Pending/);
  const described = await api.server.kubectl(['describe', 'pf/waiting']);
  assert.match(described, /Waiting for an operator that serves spec\.className/);
});

test('the category and the field selector find it', async () => {
  await create('found', { ...minimal, className: 'red' });
  assert.match(await api.server.kubectl(['get', 'tunnels']), /found/);
  const red = await api.server.kubectl(['get', 'pf', '--field-selector', 'spec.className=red', '-o', 'name']);
  assert.equal(red.trim(), 'portforward.portforward.dev/found');
});

test('two managers can each own a port of the same PortForward', async () => {
  const apply = async (manager: string, text: object): Promise<void> => {
    const path = `${collection}/shared?fieldManager=${manager}&fieldValidation=Strict`;
    const { status, body } = await api.call('PATCH', path, JSON.stringify(text), 'application/apply-patch+yaml');
    assert.ok(status === 200 || status === 201, body.message);
  };
  const head = { apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward', metadata: { name: 'shared' } };
  await apply('first', { ...head, spec: minimal });
  await apply('second', { ...head, spec: { ports: [{ port: 6379, name: 'cache' }] } });
  await apply('first', { ...head, spec: minimal });
  const ports = await api.server.kubectl(['get', 'pf/shared', '-o', 'jsonpath={.spec.ports[*].port}']);
  assert.equal(ports, '5432 6379');
});

test('an edit of a stored object is judged again', async () => {
  await create('edited', minimal);
  const patch = JSON.stringify({ spec: { fly: { app: 'orders', secretRef: { name: 'fly' } } } });
  const { status, body } = await api.call('PATCH', `${collection}/edited`, patch, 'application/merge-patch+json');
  assert.equal(status, 422);
  assert.match(body.message ?? '', /spec needs exactly one of ssh, ssm and fly/);
});

interface Field {
  readonly path: string;
  readonly description: string | undefined;
}

function fieldsOf(node: Structural, path: string): Field[] {
  const { properties = {} } = node.items ?? node;
  return Object.entries(properties).flatMap(([key, property]) => [
    { path: `${path}.${key}`, description: property.description },
    ...fieldsOf(property, `${path}.${key}`),
  ]);
}

const minimal = (parse(corpus('good').find(({ name }) => name === 'minimal-ssh')?.text ?? '') as { spec: object }).spec;

const example = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'portforward.dev/v1alpha1', kind: 'PortForward', metadata: { name }, spec });

async function create(name: string, spec: object): Promise<void> {
  const { status, body } = await api.call('POST', `${collection}?fieldValidation=Strict`, example(name, spec));
  assert.equal(status, 201, body.message);
}

async function writeStatus(name: string, status: object): Promise<void> {
  const patch = JSON.stringify({ status });
  const path = `${collection}/${name}/status?fieldValidation=Strict`;
  const answer = await api.call('PATCH', path, patch, 'application/merge-patch+json');
  assert.equal(answer.status, 200, answer.body.message);
}

const table = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/));
