import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localPorts } from '../../../src/cli/port-mapping.ts';
import { parsePortForward } from '../../../src/contract/api/parse.ts';
import type { PortForwardSpec } from '../../../src/contract/api/portforward.ts';

function specOf(ports: readonly object[]): PortForwardSpec {
  const parsed = parsePortForward({
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: { name: 'x' },
    spec: { ports, ssh: { user: 'u', bastions: [{ host: 'b' }], secretRef: { name: 's' } } },
  });
  assert.ok(parsed.ok);
  return parsed.value.spec;
}

const two = specOf([{ port: 5432, name: 'postgres' }, { port: 80 }]);
const one = specOf([{ port: 5432 }]);
const chosen = (spec: PortForwardSpec, mappings: readonly string[]) => Object.fromEntries(localPorts(spec, mappings));

test('without a mapping the local port is the same', () => {
  assert.deepEqual(chosen(two, []), { 5432: 5432, 80: 80 });
});

test('a port is mapped by its number or its name, and 0 takes any free one', () => {
  assert.deepEqual(chosen(two, ['15432:5432', '0:80']), { 5432: 15_432, 80: 0 });
  assert.deepEqual(chosen(two, ['15432:postgres', '8080:p80']), { 5432: 15_432, 80: 8080 });
});

test('a local port alone is enough for a document with one port', () => {
  assert.deepEqual(chosen(one, ['15432']), { 5432: 15_432 });
  assert.throws(() => localPorts(two, ['15432']), /the document has the ports 5432 \(postgres\), 80 \(p80\)/);
});

test('a text that is not a mapping is refused', () => {
  for (const mapping of ['x:5432', '1:2:3', '70000:5432', ':5432', '-1:5432']) {
    assert.throws(() => localPorts(two, [mapping]), /write LOCAL:PORT/, mapping);
  }
  assert.throws(() => localPorts(two, ['1:5432', '2:postgres']), /mapped twice/);
});
