import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { provesNetworkDead } from '../../../../../../src/sidecar/drivers/ssh/channels/kernel-evidence.ts';

const row = { state: '01', unacknowledged: 52, retransmits: 0, probes: 0 };

describe('kernel evidence', () => {
  test('bytes held and retransmitted twice mean a dead network', () => {
    assert.equal(provesNetworkDead({ ...row, retransmits: 2 }), true);
    assert.equal(provesNetworkDead({ ...row, retransmits: 1 }), false);
  });

  test('probes of a closed window that nobody answers mean the same', () => {
    assert.equal(provesNetworkDead({ ...row, probes: 2 }), true);
  });

  test('a far side that stalls acknowledges: nothing held, nothing retransmitted', () => {
    assert.equal(provesNetworkDead({ ...row, unacknowledged: 0, retransmits: 9 }), false);
    assert.equal(provesNetworkDead(row), false);
  });

  test('a connection that has ended its side is no longer judged', () => {
    assert.equal(provesNetworkDead({ ...row, state: '04', retransmits: 9 }), false);
  });
});
