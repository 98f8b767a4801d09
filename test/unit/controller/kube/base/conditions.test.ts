import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConditionNow, mergeConditions } from '../../../../../src/controller/kube/base/conditions.ts';

const ready = (status: 'True' | 'False' | 'Unknown', reason = 'Because', observedGeneration = 1): ConditionNow => ({
  type: 'Ready',
  status,
  reason,
  message: 'm',
  observedGeneration,
});
const early = new Date('2026-01-01T00:00:00.900Z');
const late = new Date('2026-01-02T00:00:00.000Z');

test('a new condition gets the time in whole seconds', () => {
  assert.deepEqual(mergeConditions(undefined, [ready('True')], early), [
    { ...ready('True'), lastTransitionTime: '2026-01-01T00:00:00Z' },
  ]);
});

test('the time stays while only reason, message or generation change, and moves when the status flips', () => {
  const first = mergeConditions(undefined, [ready('True')], early);
  const same = mergeConditions(first, [ready('True', 'Other', 2)], late);
  assert.deepEqual(same, [{ ...ready('True', 'Other', 2), lastTransitionTime: '2026-01-01T00:00:00Z' }]);
  assert.equal(mergeConditions(same, [ready('Unknown')], late)[0]?.lastTransitionTime, '2026-01-02T00:00:00Z');
});

test('conditions that are no longer said are dropped and the order is the one given', () => {
  const before = mergeConditions(undefined, [ready('True'), { ...ready('True'), type: 'Stalled' }], early);
  const now = mergeConditions(before, [{ ...ready('False'), type: 'Accepted' }, ready('True')], late);
  assert.deepEqual(
    now.map(({ type }) => type),
    ['Accepted', 'Ready'],
  );
});
