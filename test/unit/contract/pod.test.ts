// Listen ports: unprivileged, one for each Service port, and the same in whatever order the ports are listed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { adminPort, listenPorts } from '../../../src/contract/pod.ts';
import { assertEvery } from '../../support/assert-every.ts';

const ports = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 64 });

test('every Service port gets a listen port of its own, unprivileged and not the admin port', () => {
  fc.assert(
    fc.property(ports, (list) => {
      const chosen = [...listenPorts(list).values()];
      assert.equal(chosen.length, list.length);
      assert.equal(new Set(chosen).size, list.length);
      assertEvery(
        chosen,
        (port) => port >= 1024 && port <= 65_535 && port !== adminPort,
        'a free port without privileges',
      );
    }),
  );
});

test('the order of the list changes nothing, so that reordering ports rolls no pod for it', () => {
  fc.assert(
    fc.property(ports, (list) => assert.deepEqual([...listenPorts(list.toReversed())], [...listenPorts(list)])),
  );
});

test('an unprivileged port is listened on under its own number', () => {
  assert.equal(listenPorts([5432]).get(5432), 5432);
  assert.equal(listenPorts([80]).get(80), 20_080);
});

test('a port that is taken by another forward or by the admin port moves on to the next free one', () => {
  const chosen = listenPorts([80, 20_080, adminPort]);
  assert.equal(chosen.get(20_080), 20_080);
  assert.equal(chosen.get(80), 20_081);
  assert.equal(chosen.get(adminPort), 20_000 + adminPort);
});
