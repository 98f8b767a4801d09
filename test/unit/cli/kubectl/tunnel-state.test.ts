import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StoredTunnel, tunnelStateOf } from '../../../../src/cli/kubectl/tunnel-state.ts';
import type { Condition } from '../../../../src/contract/api/status.ts';

const since = '2026-02-03T04:05:06Z';

const condition = (type: Condition['type'], status: Condition['status'], reason: string, message = ''): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: since,
});

const tunnel = (conditions: readonly Condition[], more: NonNullable<StoredTunnel['status']> = {}): StoredTunnel => ({
  metadata: { name: 'orders-db', namespace: 'shop', creationTimestamp: '2026-02-03T04:00:00Z' },
  spec: {
    ports: [
      { port: 5432, name: 'postgres', appProtocol: 'postgresql' },
      { port: 6379, appProtocol: 'redis' },
    ],
  },
  status: { conditions: [...conditions], ...more },
});

const states = (stored: StoredTunnel): readonly string[] => tunnelStateOf(stored).ports.map(({ state }) => state);

test('a tunnel that carries is Ready on each port, with nothing below it', () => {
  const told = tunnelStateOf(
    tunnel([condition('Ready', 'True', 'Ready', 'all is well')], { via: 'a:22', readyPods: '2/2' }),
  );
  assert.deepEqual(told.ports, [
    { port: 5432, name: 'postgres', state: 'Ready', since },
    { port: 6379, name: 'p6379', state: 'Ready', since },
  ]);
  assert.deepEqual(
    { ...told, ports: [] },
    {
      namespace: 'shop',
      name: 'orders-db',
      ready: 'True',
      pods: '2/2',
      via: 'a:22',
      ports: [],
      notes: [],
      routes: [],
      tunnels: [],
    },
  );
});

test('one dead destination is told at its port alone, in its own sentence', () => {
  const why = 'orders.db:5432 refuses the connection: start the service';
  const told = tunnelStateOf(
    tunnel(
      [
        condition('Ready', 'False', 'DestinationRefused', why),
        condition('Connected', 'True', 'Connected'),
        condition('DestinationReachable', 'False', 'DestinationRefused', why),
      ],
      {
        ports: [
          { name: 'postgres', address: 'a:5432', destination: 'orders.db:5432', reachable: false, message: why },
          { name: 'p6379', address: 'a:6379', destination: 'cache:6379', reachable: true },
        ],
      },
    ),
  );
  assert.deepEqual(
    told.ports.map(({ state, reason, message }) => ({ state, reason, message })),
    [
      { state: 'Unreachable', reason: 'DestinationRefused', message: why },
      { state: 'Ready', reason: undefined, message: undefined },
    ],
  );
  assert.deepEqual(told.notes, [`Unreachable, DestinationRefused: ${why}`]);
});

test('each other state has its word', () => {
  const accepted = condition('Accepted', 'True', 'Accepted');
  const connected = condition('Connected', 'True', 'Connected');
  const cases: readonly (readonly [string, readonly Condition[]])[] = [
    ['Refused', [condition('Accepted', 'False', 'InvalidSpec', 'x'), condition('Ready', 'False', 'InvalidSpec', 'x')]],
    ['Suspended', [accepted, condition('Ready', 'False', 'Suspended')]],
    ['Suspended', [accepted, condition('Ready', 'False', 'ScaledToZero')]],
    ['Idle', [accepted, condition('Ready', 'True', 'Idle')]],
    [
      'Down',
      [accepted, condition('Connected', 'False', 'KeyRefused'), condition('Ready', 'False', 'KeyRefused', 'no')],
    ],
    ['Down', [accepted, connected, condition('Ready', 'False', 'ConnectionLimit', 'full')]],
    ['Starting', [condition('Ready', 'Unknown', 'Progressing'), condition('Reconciling', 'True', 'Progressing')]],
    ['Unknown', [condition('Ready', 'Unknown', 'Pending', 'no operator has looked at it')]],
    ['Unknown', []],
  ];
  for (const [state, conditions] of cases) {
    assert.deepEqual(states(tunnel(conditions)), [state, state], JSON.stringify(conditions));
  }
});

test('what is lost before anybody notices is told beside a Ready tunnel, each thing once', () => {
  const refused = 'b:22 refuses the key: add it to authorized_keys';
  const told = tunnelStateOf(
    tunnel(
      [
        condition('Ready', 'True', 'Ready'),
        condition('CredentialsCurrent', 'False', 'KeyRefused', `b:22: ${refused}`),
        condition('Stalled', 'True', 'TimedOut', 'never ready'),
      ],
      {
        routes: [
          { via: 'a:22', state: 'InUse' },
          { via: 'b:22', state: 'Failed', message: refused },
          { via: 'c:22', state: 'Failed', message: 'c:22 does not answer' },
        ],
      },
    ),
  );
  assert.deepEqual(told.notes, [
    `CredentialsCurrent is False, KeyRefused: b:22: ${refused}`,
    'c:22 would not help: c:22 does not answer',
    'Stalled, TimedOut: never ready',
  ]);
});

test('what stands in two conditions is told once, also where one of them names the pod', () => {
  const missing = 'Secret key does not exist: create it';
  const { notes } = tunnelStateOf(
    tunnel([
      condition('Ready', 'False', 'SecretNotFound', missing),
      condition('CredentialsCurrent', 'False', 'SecretNotFound', `pf-orders-db-b75866d9b-pn67w: ${missing}`),
    ]),
  );
  assert.deepEqual(notes, [`Down, SecretNotFound: ${missing}`]);
});

test('a state whose reason has the same name is written once', () => {
  const { notes } = tunnelStateOf(tunnel([condition('Ready', 'False', 'Suspended', 'spec.suspend is true.')]));
  assert.deepEqual(notes, ['Suspended: spec.suspend is true.']);
});

test('a tunnel that no operator has seen has its ports from the document and its age from its creation', () => {
  const { ports, notes } = tunnelStateOf({ ...tunnel([]), status: undefined as never });
  assert.deepEqual(
    ports.map(({ port, since: from }) => [port, from]),
    [
      [5432, '2026-02-03T04:00:00Z'],
      [6379, '2026-02-03T04:00:00Z'],
    ],
  );
  assert.deepEqual(notes, []);
  // The CRD's default condition has no time of its own.
  const pending = { ...condition('Ready', 'Unknown', 'Pending'), lastTransitionTime: '1970-01-01T00:00:00Z' };
  assert.equal(tunnelStateOf(tunnel([pending])).ports[0]?.since, '2026-02-03T04:00:00Z');
});
