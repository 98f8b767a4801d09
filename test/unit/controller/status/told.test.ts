// What the status tells beside "ready or not": pods that refuse clients, how many pods are wanted, and that nobody has looked yet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindSchema } from '../../../../scripts/generate/crd.ts';
import type { PortForwardStatus } from '../../../../src/contract/api/status.ts';
import type { TunnelStatus } from '../../../../src/contract/tunnel-status.ts';
import type { Observation } from '../../../../src/controller/status/conditions.ts';
import { computeStatus } from '../../../../src/controller/status/status.ts';
import { portForward } from '../portforwards.ts';
import { carrying, failing, lostTunnel, observation, readyTunnel } from './observed.ts';

const now = new Date('2026-02-03T04:05:06Z');
const statusOf = (seen: Partial<Observation>, document = portForward()): PortForwardStatus =>
  computeStatus(document, observation({ portForward: document, ...seen }), now).status;
const condition = (status: PortForwardStatus, wanted: string) => status.conditions?.find(({ type }) => type === wanted);

const full: TunnelStatus = {
  ...carrying,
  ports: [{ name: 'postgres', reachable: true, fullSince: '2026-02-03T04:00:00.123Z' }],
};

test('while one of the ready pods takes clients the tunnel is ready, and the full one says so', () => {
  const status = statusOf({ tunnels: [readyTunnel(full, 'a'), readyTunnel(carrying, 'b')] });
  assert.equal(condition(status, 'Ready')?.status, 'True');
  const [first, second] = status.tunnels ?? [];
  assert.equal(first?.state, 'Full');
  assert.equal(first?.since, '2026-02-03T04:00:00Z');
  assert.match(first?.message ?? '', /clients of postgres are refused/);
  assert.equal(second?.state, 'Connected');
});

test('while every ready pod refuses clients of a port the tunnel is not ready, with the reason that they are told', () => {
  const status = statusOf({ tunnels: [readyTunnel(full, 'a'), readyTunnel(full, 'b')] });
  const ready = condition(status, 'Ready');
  assert.equal(`${ready?.status} ${ready?.reason}`, 'False ConnectionLimit');
  assert.match(ready?.message ?? '', /Each of the 2 ready pods refuses clients of postgres.*maxConnections/);
  assert.equal(condition(status, 'DestinationReachable')?.status, 'True');
  assert.equal(condition(status, 'Connected')?.status, 'True');
});

test('pods are counted against what the document wants', () => {
  const counted = (replicas: number, pods: number): string => {
    const document = portForward({ replicas });
    const tunnels = Array.from({ length: pods }, (_, index) => readyTunnel(carrying, `pod-${index}`));
    const status = statusOf({ tunnels }, document);
    return `${status.readyPods} ${condition(status, 'Connected')?.message}`;
  };
  assert.equal(counted(2, 1), '1/2 1 of 2 pods are ready.');
  assert.equal(counted(1, 1), '1/1 1 of 1 pod is ready.');
  assert.equal(counted(2, 3), '3/2 3 pods are ready, 2 wanted.');
  assert.equal(statusOf({ tunnels: [] }, portForward({ suspend: true })).readyPods, '0/0');
});

test('Connected names the network of fly.io, which the gateway does not', () => {
  const said = (fly: object): string | undefined => {
    const ports = [{ port: 5432, destinationHost: 'orders-db.internal' }];
    const spec = { replicas: 1, ssh: undefined, ports, fly: { ...fly, secretRef: { name: 'fly' } } };
    return condition(statusOf({ tunnels: [readyTunnel(carrying)] }, portForward(spec)), 'Connected')?.message;
  };
  assert.equal(said({ app: 'orders-db' }), '1 of 1 pod is ready in the network of fly.io app orders-db.');
  assert.equal(said({ org: 'shop-inc' }), '1 of 1 pod is ready in the network of fly.io organization shop-inc.');
  const stage = '1 of 1 pod is ready in network stage of fly.io organization shop-inc.';
  assert.equal(said({ org: 'shop-inc', network: 'stage' }), stage);
});

test('a pod that lost its session is not said to become ready', () => {
  const silent = failing('BastionTimeout');
  const status = statusOf({ tunnels: [lostTunnel(silent), lostTunnel(carrying, 'other')] });
  assert.doesNotMatch(JSON.stringify(status), /about to be/);
});

test('what the CRD says of a document that nobody has looked at is no earlier status', () => {
  const { properties } = kindSchema();
  const unseen = properties?.['status']?.default as PortForwardStatus;
  const waiting = condition(unseen, 'Ready');
  assert.equal(`${waiting?.status} ${waiting?.reason}`, 'Unknown Pending');
  assert.match(waiting?.message ?? '', /serves spec\.className/);
  const document = { ...portForward(), status: unseen };
  const status = computeStatus(document, observation({ tunnels: [] }), now).status;
  for (const { type, lastTransitionTime } of status.conditions ?? []) {
    assert.equal(lastTransitionTime, '2026-02-03T04:05:06Z', type);
  }
});

const route = (via: string, state: 'InUse' | 'StandingBy' | 'Untried' | 'Failed', since = '2026-02-03T04:00:00Z') =>
  state === 'Failed'
    ? { via, state, since, reason: 'HostKeyChanged', message: `${via} shows another key` }
    : { via, state, since };
const knowing = (...routes: readonly ReturnType<typeof route>[]): TunnelStatus => ({
  ...carrying,
  routes: [...routes],
});

test('each bastion is listed once over all pods: one that carries wins over one that failed elsewhere', () => {
  const tunnels = [
    readyTunnel(knowing(route('a:22', 'InUse'), route('b:22', 'StandingBy'), route('c:22', 'Untried')), 'one'),
    readyTunnel(knowing(route('a:22', 'Failed'), route('b:22', 'Failed'), route('c:22', 'StandingBy')), 'two'),
  ];
  const { status, causes } = computeStatus(portForward(), observation({ tunnels }), now);
  assert.deepEqual(status.routes, [
    { via: 'a:22', state: 'InUse', since: '2026-02-03T04:00:00Z' },
    { via: 'b:22', state: 'Failed', since: '2026-02-03T04:00:00Z', message: 'b:22 shows another key' },
    { via: 'c:22', state: 'StandingBy', since: '2026-02-03T04:00:00Z' },
  ]);
  assert.deepEqual([...causes.routes], [['b:22', 'HostKeyChanged']]);
  assert.equal(condition(status, 'Ready')?.status, 'True', 'lost redundancy is no outage');
});

test('the time of a bastion changes with its state only', () => {
  const first = statusOf({ tunnels: [readyTunnel(knowing(route('a:22', 'InUse')))] });
  const document = { ...portForward(), status: first };
  const later = (state: 'InUse' | 'Failed'): string | undefined => {
    const tunnels = [readyTunnel(knowing(route('a:22', state, '2026-02-03T04:04:00Z')))];
    return computeStatus(document, observation({ tunnels }), now).status.routes?.[0]?.since;
  };
  assert.equal(later('InUse'), '2026-02-03T04:00:00Z');
  assert.equal(later('Failed'), '2026-02-03T04:04:00Z');
});

const holding = (current: boolean | null): TunnelStatus => ({
  ...carrying,
  credentials:
    current === false ? { current, reason: 'AuthenticationFailed', message: 'a:22 refuses them' } : { current },
});

test('credentials that a host refuses are told while older ones carry, and do not change Ready', () => {
  const rows: readonly [readonly (TunnelStatus | undefined)[], string | undefined][] = [
    [[holding(true), holding(true)], 'True Current'],
    [[holding(true), holding(false)], 'False AuthenticationFailed'],
    [[holding(true), holding(null)], 'Unknown NotTried'],
    [[holding(true), carrying], 'Unknown NotTried'],
    [[carrying, carrying], undefined],
  ];
  for (const [answers, expected] of rows) {
    const status = statusOf({ tunnels: answers.map((answer, index) => readyTunnel(answer, `pod-${index}`)) });
    const told = condition(status, 'CredentialsCurrent');
    assert.equal(told && `${told.status} ${told.reason}`, expected);
    assert.equal(condition(status, 'Ready')?.status, 'True');
  }
  const restarted = { ...failing('AuthenticationFailed'), credentials: holding(false).credentials };
  assert.equal(condition(statusOf({ tunnels: [lostTunnel(restarted)] }), 'CredentialsCurrent')?.status, 'False');
  assert.match(
    condition(statusOf({ tunnels: [readyTunnel(holding(false), 'pod-0')] }), 'CredentialsCurrent')?.message ?? '',
    /^pod-0: a:22 refuses them/,
  );
});
