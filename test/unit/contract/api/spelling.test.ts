// What a misspelt field was meant as, wherever it stands; no guess where nothing is near.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortForwardSchema } from '../../../../src/contract/api/portforward.ts';
import { nearestField } from '../../../../src/contract/api/spelling.ts';

const rows: readonly [path: readonly (string | number)[], written: string, meant: string | undefined][] = [
  [['spec'], 'replica', 'replicas'],
  [['spec'], 'classname', 'className'],
  [['spec', 'ports', 0], 'destinatonHost', 'destinationHost'],
  [['spec', 'ports', 0], 'DestinationPort', 'destinationPort'],
  [['spec', 'ssh', 'bastions', 1], 'hosts', 'host'],
  [['spec', 'ssh'], 'known_hosts', 'knownHosts'],
  [['spec', 'ssm', 'target'], 'instanceID', 'instanceId'],
  [['spec', 'healthCheck'], 'intervalSecond', 'intervalSeconds'],
  [['spec'], 'image', undefined],
  [['spec', 'ssh'], 'hop', undefined],
  [['metadata', 'labels', 'x'], 'y', undefined],
  [['spec', 'nowhere', 7], 'host', undefined],
];

for (const [path, written, meant] of rows) {
  test(`${[...path, written].join('.')}: ${meant ?? 'no guess'}`, () => {
    assert.equal(nearestField(PortForwardSchema, path, written), meant);
  });
}
