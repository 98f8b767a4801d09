// What /statusz and /readyz say about each state.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../src/contract/errors.ts';
import { tunnelStatusSchema } from '../../../src/contract/tunnel-status.ts';
import { createRegistry } from '../../../src/process/metrics.ts';
import { Reachability } from '../../../src/sidecar/health/reachability.ts';
import { adminRoutes, type StatusSources, statusOf, whyNotReady } from '../../../src/sidecar/status.ts';
import type { TunnelSnapshot } from '../../../src/sidecar/tunnel/snapshot.ts';
import { down, orders } from './tunnel/memory-driver.ts';

const standingBy = { via: 'b:22', state: 'StandingBy', since: new Date(500) } as const;

function sources(
  snapshot: Omit<TunnelSnapshot, 'since' | 'routes'>,
  more: {
    readiness?: StatusSources['readinessPolicy'];
    failing?: boolean;
    draining?: boolean;
    health?: 'Off';
    full?: boolean;
  } = {},
): StatusSources {
  const reachability = new Reachability(1);
  if (more.failing !== undefined) reachability.record(more.failing ? down('orders.db:5432') : undefined);
  const off = more.health === 'Off';
  return {
    snapshot: () => ({ since: new Date(0), routes: [standingBy], ...snapshot }),
    health: { of: () => (off ? undefined : reachability) },
    connections: { refusingSince: () => (more.full === true ? new Date(2_000) : undefined), openOf: () => 3 },
    forwards: [{ ...orders, health: off ? 'Off' : 'Active' }],
    readinessPolicy: more.readiness ?? 'Transport',
    drainingSince: () => (more.draining === true ? new Date(1_000) : undefined),
  };
}

const connected = { state: 'Connected', via: 'a:22', facts: { hostKeyFingerprint: 'SHA256:x' } } as const;
const failed = { state: 'Failed', error: new TunnelError('HostKeyChanged', 'a:22 shows another key') } as const;

test('the document matches its schema in every state', () => {
  for (const state of [connected, failed, { state: 'Idle' }, { state: 'Connecting' }] as const) {
    for (const failing of [true, false]) {
      const status = statusOf(sources(state, { failing }));
      assert.deepEqual(tunnelStatusSchema.parse(status), status);
    }
  }
});

test('connected: via and fingerprint; failed: reason and message; a port: whether it is reachable, and why not', () => {
  assert.deepEqual(statusOf(sources(connected, { failing: true })), {
    version: 1,
    state: 'Connected',
    since: '1970-01-01T00:00:00.000Z',
    via: 'a:22',
    hostKeyFingerprint: 'SHA256:x',
    ports: [
      {
        name: 'postgres',
        destination: 'orders.db:5432',
        reachable: false,
        clients: 3,
        reason: 'DestinationRefused',
        message: 'orders.db:5432 refuses the connection',
      },
    ],
    routes: [{ via: 'b:22', state: 'StandingBy', since: '1970-01-01T00:00:00.500Z' }],
  });
  const status = statusOf(sources(failed));
  assert.equal(status.reason, 'HostKeyChanged');
  assert.equal(status.message, 'a:22 shows another key');
  assert.equal(status.ports[0]?.reachable, null);
});

test('a message that is too long for the document is cut', () => {
  const long = { state: 'Failed', error: new TunnelError('BastionLost', 'x'.repeat(5_000)) } as const;
  tunnelStatusSchema.parse(statusOf(sources(long)));
});

test('ready means connected, or idle on demand; never while draining', () => {
  assert.equal(whyNotReady(sources(connected)), undefined);
  assert.equal(whyNotReady(sources({ state: 'Idle' })), undefined);
  assert.equal(whyNotReady(sources({ state: 'Connecting' }))?.reason, 'NotConnected');
  assert.deepEqual(whyNotReady(sources(failed)), { reason: 'HostKeyChanged', message: 'a:22 shows another key' });
  assert.equal(whyNotReady(sources(connected, { draining: true }))?.reason, 'Draining');
});

test('a dead destination makes the pod unready only with the policy Destination', () => {
  assert.equal(whyNotReady(sources(connected, { failing: true })), undefined);
  const strict = { readiness: 'Destination' } as const;
  assert.equal(whyNotReady(sources(connected, { ...strict, failing: true }))?.reason, 'DestinationRefused');
  assert.equal(whyNotReady(sources(connected, strict))?.reason, 'NotChecked');
  assert.equal(whyNotReady(sources(connected, { ...strict, failing: false })), undefined);
  assert.equal(
    whyNotReady(sources(connected, { ...strict, health: 'Off' })),
    undefined,
    'what is never judged cannot fail',
  );
  assert.equal(whyNotReady(sources({ state: 'Idle' }, strict)), undefined);
});

test('the admin pages: livez answers, readyz gives 503 with the reason', async () => {
  const pages = adminRoutes(sources(failed), createRegistry());
  assert.equal((await pages['/livez']?.())?.status, 200);
  const ready = await pages['/readyz']?.();
  assert.equal(ready?.status, 503);
  assert.deepEqual(JSON.parse(ready.body), {
    ready: false,
    reason: 'HostKeyChanged',
    message: 'a:22 shows another key',
  });
  assert.equal(JSON.parse((await pages['/statusz']?.())?.body ?? '{}').state, 'Failed');
});

test('a port whose clients are refused for the limit says since when, and stays reachable', () => {
  const status = statusOf(sources(connected, { failing: false, full: true }));
  assert.deepEqual(tunnelStatusSchema.parse(status), status);
  assert.deepEqual(status.ports, [
    {
      name: 'postgres',
      destination: 'orders.db:5432',
      reachable: true,
      clients: 3,
      fullSince: '1970-01-01T00:00:02.000Z',
    },
  ]);
});
