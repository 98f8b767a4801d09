import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { testifiesDeath } from '../../../../../../src/sidecar/drivers/ssh/channels/kernel-evidence.ts';

const row = { state: '01', unacknowledged: 52, retransmits: 0, probes: 0 };

describe('kernel evidence', () => {
  test('bytes held and retransmitted twice mean a dead network', () => {
    assert.equal(testifiesDeath({ ...row, retransmits: 2 }), true);
    assert.equal(testifiesDeath({ ...row, retransmits: 1 }), false);
  });

  test('probes of a closed window that nobody answers mean the same', () => {
    assert.equal(testifiesDeath({ ...row, probes: 2 }), true);
  });

  test('a far side that stalls acknowledges: nothing held, nothing retransmitted', () => {
    assert.equal(testifiesDeath({ ...row, unacknowledged: 0, retransmits: 9 }), false);
    assert.equal(testifiesDeath(row), false);
  });

  test('a connection that has ended its side is judged no more', () => {
    assert.equal(testifiesDeath({ ...row, state: '04', retransmits: 9 }), false);
  });
});
