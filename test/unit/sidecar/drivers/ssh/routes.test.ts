import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { orderRoutes } from '../../../../../src/sidecar/drivers/ssh/routes.ts';

const bastions = ['a', 'b', 'c', 'd'].map((host) => ({ host, port: 22, user: 'tunnel' }));
const order = (bastionPolicy: 'Ordered' | 'Spread', pod: string, list = bastions): string =>
  orderRoutes({ bastions: list, bastionPolicy }, pod)
    .map((route) => route.bastion.host)
    .join('');

describe('the order of bastions', () => {
  test('Ordered is as written', () => assert.equal(order('Ordered', 'any'), 'abcd'));

  test('Spread is stable for a pod and even over pods', () => {
    assert.equal(order('Spread', 'pod-1'), order('Spread', 'pod-1'));
    const firsts = new Map<string, number>();
    for (let pod = 0; pod < 400; pod++) {
      const first = order('Spread', `pod-${pod}`)[0] ?? '';
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    for (const [host, count] of firsts) assert.ok(count > 60 && count < 140, `${host}: ${count}`);
  });

  test('Spread moves only the share of a bastion that is removed', () => {
    const without = bastions.filter((bastion) => bastion.host !== 'b');
    for (let pod = 0; pod < 50; pod++) {
      assert.equal(order('Spread', `pod-${pod}`, without), order('Spread', `pod-${pod}`).replace('b', ''));
    }
  });
});
