import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzDecoders } from '../../../../fuzz/ssm/decoders.ts';

test('ten thousand broken inputs are neither misread nor do they cause an unexpected exception', () => {
  const { messages } = fuzzDecoders(10_000, 20_261_122);
  // Some must get through, or the fuzz would prove nothing about what is read.
  assert.ok(messages > 1_000, `only ${messages} inputs were valid messages`);
});
