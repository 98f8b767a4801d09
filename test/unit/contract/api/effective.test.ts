// The defaults that the schema does not hold, and the stored object that a newer CRD has filled in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { driverOf, effectivePorts } from '../../../../src/contract/api/effective.ts';
import { type Parsed, parsePortForward, parseStoredPortForward } from '../../../../src/contract/api/parse.ts';
import type { PortForward } from '../../../../src/contract/api/portforward.ts';
import { corpus } from '../../../corpus/corpus.ts';

const good = (name: string): { spec: Record<string, unknown>; [key: string]: unknown } =>
  structuredClone(corpus('good').find((each) => each.name === name)?.document) as { spec: Record<string, unknown> };

function valueOf(parsed: Parsed): PortForward {
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

test('a port alone leads to the same port of the bastion itself', () => {
  const { spec } = valueOf(parsePortForward(good('minimal-ssh')));
  assert.equal(driverOf(spec), 'ssh');
  assert.deepEqual(effectivePorts(spec), [
    {
      port: 5432,
      name: 'p5432',
      appProtocol: 'tcp',
      destination: { host: 'localhost', port: 5432 },
      health: 'Passive',
    },
  ]);
});

test('with a fly app the default destination is the app; with an organization each port names its own', () => {
  const app = valueOf(parsePortForward(good('minimal-fly'))).spec;
  assert.equal(driverOf(app), 'fly');
  assert.deepEqual(effectivePorts(app)[0]?.destination, { host: 'orders-db.internal', port: 5432 });
  const organization = valueOf(parsePortForward(good('full-fly'))).spec;
  assert.deepEqual(effectivePorts(organization)[0]?.destination, { host: 'orders-db.internal', port: 5432 });
});

test('each protocol has its way of being watched, and a socket is a destination', () => {
  const { spec } = valueOf(parsePortForward(good('many-ports')));
  const ports = effectivePorts(spec);
  assert.deepEqual(
    ports.map(({ name, health }) => [name, health]),
    [
      ['postgres', 'Active'],
      ['mysql', 'Passive'],
      ['p6379', 'Active'],
      ['p80', 'Active'],
      ['p443', 'Passive'],
      ['p2049', 'Passive'],
      ['socket', 'Passive'],
    ],
  );
  assert.deepEqual(ports[1]?.destination, { host: 'billing.db.internal', port: 3307 });
  assert.deepEqual(ports[6]?.destination, { socket: '/run/postgresql/.s.PGSQL.5432' });
});

test('healthCheck.destination decides for all ports where it is given', () => {
  const { spec } = valueOf(parsePortForward(good('health-off')));
  assert.deepEqual(
    effectivePorts(spec).map(({ health }) => health),
    ['Off'],
  );
});

test('names of ports stay unique when the computed ones are filled in', () => {
  for (const { document } of corpus('good')) {
    const names = effectivePorts(valueOf(parsePortForward(document)).spec).map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  }
});

test('a stored object with fields of a newer CRD is read without them, a document is refused', () => {
  const document = good('full-ssh');
  document.spec['novelty'] = { a: 1 };
  (document.spec['ssh'] as Record<string, unknown>)['novelty'] = true;
  const value = valueOf(parseStoredPortForward(document));
  assert.deepEqual(value, valueOf(parsePortForward(good('full-ssh'))));
  assert.ok('novelty' in document.spec, 'the object itself is not changed');
  const refused = parsePortForward(document);
  assert.ok(!refused.ok);
  assert.deepEqual(
    refused.issues.map(({ path }) => path),
    ['spec.ssh.novelty', 'spec.novelty'],
  );
});

test('a stored object that breaks a rule is refused even if it has fields of a newer CRD', () => {
  const document = { ...good('minimal-ssh'), novelty: 1 };
  delete document.spec['ssh'];
  const parsed = parseStoredPortForward(document);
  assert.ok(!parsed.ok);
  assert.deepEqual(
    parsed.issues.map(({ path }) => path),
    ['spec'],
  );
});

test('a status is kept where it fits, and left out where it does not', () => {
  const status = { observedGeneration: 3, via: 'b:22' };
  assert.deepEqual(valueOf(parsePortForward({ ...good('minimal-ssh'), status })).status, status);
  assert.equal(valueOf(parsePortForward({ ...good('minimal-ssh'), status: { via: 7 } })).status, undefined);
});

test('nothing that is not an object is taken, and nothing makes the parser throw', () => {
  for (const nothing of [undefined, null, '', 'text', 0, true, [], [{}], {}, { metadata: null }]) {
    const parsed = parsePortForward(nothing);
    assert.ok(!parsed.ok);
    assert.ok(parsed.issues.length > 0);
  }
});
