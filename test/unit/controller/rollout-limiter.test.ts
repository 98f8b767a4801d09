// Whose change a rollout is, and how many of the operator's own run per minute.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desiredChildren } from '../../../src/controller/children/index.ts';
import { appliedAnnotation } from '../../../src/controller/children/names.ts';
import type { Deployment } from '../../../src/controller/kube/base/resources.ts';
import { isOperatorsRollout, RolloutLimiter } from '../../../src/controller/rollout-limiter.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { portForward, tunnelSettings } from './portforwards.ts';

const desired = (image: string, ...args: Parameters<typeof portForward>): Deployment =>
  desiredChildren(portForward(...args), tunnelSettings(`--tunnel-image=${image}`), true).deployment;
const live = (...args: Parameters<typeof desired>): Deployment => {
  const deployment = desired(...args);
  const annotations = { ...deployment.metadata.annotations, [appliedAnnotation]: 'x' };
  return { ...deployment, metadata: { ...deployment.metadata, annotations } };
};

test('a new image under an unchanged document is the operator’s rollout', () => {
  assert.equal(isOperatorsRollout(desired('new'), live('old')), true);
});

test('an edit, a reconnect, a first rollout, a tunnel without pods and equal templates are not', () => {
  assert.equal(isOperatorsRollout(desired('new', {}, { generation: 4 }), live('old')), false);
  assert.equal(
    isOperatorsRollout(desired('new', {}, { annotations: { 'portforward.dev/reconnectAt': 'x' } }), live('old')),
    false,
  );
  assert.equal(isOperatorsRollout(desired('new'), undefined), false);
  assert.equal(isOperatorsRollout(desired('new', { suspend: true }), live('old', { suspend: true })), false);
  assert.equal(isOperatorsRollout(desired('old'), live('old')), false);
});

test('of many operator’s rollouts only a few go at once, the others wait and are counted', () => {
  const limiter = new RolloutLimiter({ perMinute: 60, clock: new FakeClock() });
  const turns = Array.from({ length: 30 }, (_, index) => {
    const metadata = { name: `t${index}`, uid: `${index}` };
    return limiter.turn(desired('new', {}, metadata), live('old', {}, metadata));
  });
  const waiting = turns.filter(({ waitMs }) => waitMs > 0);
  assert.equal(turns.length - waiting.length, 10);
  assert.equal(limiter.waiting, 20);
  assertEvery(waiting, ({ isNew }) => isNew, 'only new templates wait');
  const again = limiter.turn(desired('new', {}, { name: 't29' }), live('old', {}, { name: 't29' }));
  assert.equal(again.isNew, false);
  // The user's own edit does not wait.
  assert.equal(
    limiter.turn(desired('new', {}, { name: 't29', generation: 4 }), live('old', {}, { name: 't29' })).waitMs,
    0,
  );
  assert.equal(limiter.waiting, 19);
});
