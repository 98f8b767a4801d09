// When a stored status is told as one that nobody keeps.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PodAnswer, staleness } from '../../../../src/cli/kubectl/stale-status.ts';
import type { TunnelState } from '../../../../src/cli/kubectl/tunnel-state.ts';
import type { TunnelStatus } from '../../../../src/contract/tunnel-status.ts';

const at = new Date('2026-02-03T04:10:00Z');

const stored = (state: TunnelStatus['state']): TunnelState => ({
  namespace: 'shop',
  name: 'orders-db',
  ready: 'True',
  ports: [],
  notes: [],
  routes: [],
  tunnels: [{ pod: 'pf-orders-db-x', state }],
});

const says = (state: TunnelStatus['state'], since: string): ReadonlyMap<string, PodAnswer> =>
  new Map([['pf-orders-db-x', { status: { version: 1, state, since, ports: [] }, at }]]);

test('a pod that has long been in another state than the status says shows that nobody keeps it, and since when', () => {
  assert.equal(
    staleness(stored('Connected'), says('Failed', '2026-02-03T04:04:30Z')),
    'this status is at least 5m30s old: it says Connected of pod pf-orders-db-x, which has been Failed for 5m30s. No operator keeps it: start the operator, or see whether one serves this class and namespace',
  );
});

test('a state that an operator may not have read yet, the same state and a pod that cannot be asked show nothing', () => {
  assert.equal(staleness(stored('Connected'), says('Failed', '2026-02-03T04:09:00Z')), undefined);
  assert.equal(staleness(stored('Connected'), says('Connected', '2026-02-01T00:00:00Z')), undefined);
  assert.equal(staleness(stored('Connected'), new Map()), undefined);
});
