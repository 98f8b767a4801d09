// What `portforward check` says of the mistakes that people make, word for word.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPortForward, verdictOf } from '../../../../src/contract/api/verdict.ts';
import { corpus } from '../../../corpus/corpus.ts';

const told: Readonly<Record<string, string>> = {
  'port-zero': 'spec.ports[0].port: must be at least 1',
  'port-65536': 'spec.ports[0].port: must be at most 65535',
  'port-text': 'spec.ports[0].port: must be a whole number',
  'port-missing': 'spec.ports[0].port: is required',
  'port-of-numbers': 'spec.ports[0]: must be an object',
  'port-twice': 'spec.ports[1]: port 5432 is in the list twice: remove one, or give it another port',
  'port-name-too-long': 'spec.ports[0].name: must have at most 15 characters',
  'ports-empty': 'spec.ports: must have at least one item',
  'bastions-too-many': 'spec.ssh.bastions: must have at most 8 items',
  'suspend-text': 'spec.suspend: must be true or false',
  'destination-host-number': 'spec.ports[0].destinationHost: must be a text (quote it)',
  'jump-hosts-text': 'spec.ssh.jumpHosts: must be a list',
  'service-labels-too-many': 'spec.service.labels: must have at most 32 entries',
  'spec-unknown-field': 'spec.replica: unknown field: did you mean replicas?',
  'bastion-host-url-port':
    'spec.ssh.bastions[0].host: a host is not a URL: write the name alone, as in bastion.example.com, and the port in its own field',
  'known-hosts-garbage':
    'spec.ssh.knownHosts: knownHosts has no line of known_hosts: write a host, a key type and a key, as ssh-keyscan prints them',
  'name-begins-with-digit':
    'metadata.name: metadata.name begins with a lower-case letter: the Service of that name must',
  'name-with-dot': "metadata.name: metadata.name has no dot: write '-' in its place",
  'kind-misspelt': 'kind: must be PortForward, not PortForwards',
  'version-unknown': 'apiVersion: must be portforward.dev/v1alpha1, not portforward.dev/v1',
  'replicas-fraction': 'spec.replicas: must be a whole number',
  'fly-transport-lower-case': 'spec.fly.transport: must be one of Auto, UDP, WebSocket',
  'health-off-without-quotes':
    'spec.healthCheck.destination: must be one of Active, Passive, Off (in quotes: YAML reads a bare on, off, yes or no as true or false)',
  'pod-resources-fraction':
    "spec.pod.resources.limits.cpu: must be a quantity such as 50m, 0.5, 96Mi or 1Gi (quote a number with a point: '0.5')",
  'no-driver': 'spec: spec needs exactly one of ssh, ssm and fly: it says how the private network is reached',
};

for (const [name, sentence] of Object.entries(told)) {
  test(`bad/${name}: ${sentence}`, () => {
    const example = corpus('bad').find((each) => each.name === name);
    assert.deepEqual(
      verdictOf(example?.document).map(({ path, message }) => `${path}: ${message}`),
      [sentence],
    );
  });
}

test('a document that is no object is told how a PortForward begins', () => {
  for (const document of [null, [], 'text', 7]) {
    assert.deepEqual(verdictOf(document), [
      {
        path: '',
        message: 'the document is not an object: a PortForward begins with apiVersion: portforward.dev/v1alpha1',
      },
    ]);
  }
});

test('other objects of a file are told from ours by group or kind', () => {
  assert.ok(isPortForward({ apiVersion: 'portforward.dev/v2', kind: 'Tunnel' }));
  assert.ok(isPortForward({ kind: 'PortForward' }));
  assert.ok(!isPortForward({ apiVersion: 'v1', kind: 'Secret' }));
  assert.ok(!isPortForward(null));
});
