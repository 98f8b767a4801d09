import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amountOf } from '../../../../src/contract/api/amount.ts';

test('quantities are read as the API reads them', () => {
  const equal = (a: unknown, b: unknown): void => assert.equal(amountOf(a), amountOf(b));
  equal('0.5', '500m');
  equal('5e-1', '.5');
  equal('1Gi', 2 ** 30);
  equal('1e3', '1k');
  equal('-1', -1);
  equal('1E', '1e18');
  for (const none of ['', '.', 'x', '1x', '1 Gi', 'Ki', null, {}, '1e9999999']) assert.equal(amountOf(none), undefined);
});
