// Every situation of a tunnel and the conditions that it gives: one row each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodes } from '../../../../src/contract/error-codes.ts';
import type { Observation } from '../../../../src/controller/status/conditions.ts';
import { observeTunnel } from '../../../../src/controller/status/observed-tunnel.ts';
import { computeStatus } from '../../../../src/controller/status/status.ts';
import { portForward } from '../portforwards.ts';
import {
  carrying,
  deployment,
  failing,
  lostTunnel,
  observation,
  pod,
  readyTunnel,
  template,
  unreadableTunnel,
} from './observed.ts';

const now = new Date('2026-02-03T04:05:06Z');

const kubernetesSays = (status: Parameters<typeof pod>[0]) => observeTunnel(pod(status), undefined, template);
const waiting = (reason: string, message?: string) => ({
  containerStatuses: [
    {
      name: 'tunnel',
      image: 'registry.example/portforward:1',
      imageID: '',
      ready: false,
      restartCount: 0,
      state: { waiting: { reason, ...(message === undefined ? {} : { message }) } },
    },
  ],
});
const replicaFailure = (message: string) =>
  deployment(1, {
    replicas: 0,
    updatedReplicas: 0,
    conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }],
  });
const idle = { ...carrying, state: 'Idle' as const, ports: [{ name: 'postgres', reachable: null }] };
const unproved = { ...carrying, ports: [{ name: 'postgres', reachable: null }] };
const refused = {
  ...carrying,
  ports: [
    { name: 'postgres', reachable: false, reason: 'DestinationRefused', message: 'orders.db.internal:5432 refuses' },
  ],
};
const apiServerFails = { reason: 'ApiServerError', message: 'PATCH /x: failed calling webhook "y": no answer' };

/** As a pod of an earlier document says it, whose destination another document names. */
const elsewhere = {
  ...carrying,
  ports: [{ name: 'postgres', destination: 'old.db.internal:5432', reachable: true }],
};
const there = {
  ...carrying,
  ports: [{ name: 'postgres', destination: 'orders.db.internal:5432', reachable: true }],
};

/** Status and reason of Connected, DestinationReachable and Ready; then what kstatus reads. */
type Row = readonly [
  situation: string,
  seen: Partial<Observation>,
  connected: string,
  reachable: string,
  ready: string,
  progress: string,
];

const rows: readonly Row[] = [
  ['all is well', {}, 'True Connected', 'True Reachable', 'True Ready', '-'],
  [
    'two pods, one lost',
    { tunnels: [readyTunnel(), lostTunnel(failing('BastionTimeout'), 'pf-orders-db-abc-2')] },
    'True Connected',
    'True Reachable',
    'True Ready',
    '-',
  ],
  [
    'no pod yet',
    { tunnels: [] },
    'False PodStarting',
    'Unknown PodStarting',
    'False PodStarting',
    'Reconciling Progressing',
  ],
  [
    'a pod that starts',
    { tunnels: [kubernetesSays(waiting('ContainerCreating'))] },
    'False PodStarting',
    'Unknown PodStarting',
    'False PodStarting',
    'Reconciling Progressing',
  ],
  [
    'a transient failure',
    { tunnels: [lostTunnel(failing('BastionRefused'))] },
    'False BastionRefused',
    'Unknown BastionRefused',
    'False BastionRefused',
    'Reconciling Progressing',
  ],
  [
    'a permanent failure',
    { tunnels: [lostTunnel(failing('AuthenticationFailed'))] },
    'False AuthenticationFailed',
    'Unknown AuthenticationFailed',
    'False AuthenticationFailed',
    'Stalled AuthenticationFailed',
  ],
  [
    'a permanent failure beside a starting pod',
    { tunnels: [lostTunnel(undefined, 'a'), lostTunnel(failing('HostKeyChanged'), 'b')] },
    'False HostKeyChanged',
    'Unknown HostKeyChanged',
    'False HostKeyChanged',
    'Stalled HostKeyChanged',
  ],
  [
    'an older pod complains, the present one starts',
    { tunnels: [lostTunnel(failing('AuthenticationFailed'), 'a', 'old'), lostTunnel(undefined, 'b')] },
    'False PodStarting',
    'Unknown PodStarting',
    'False PodStarting',
    'Reconciling Progressing',
  ],
  [
    'a code that only a newer sidecar knows',
    { tunnels: [lostTunnel(failing('BrandNew'))] },
    'False BrandNew',
    'Unknown BrandNew',
    'False BrandNew',
    'Reconciling Progressing',
  ],
  [
    'a reason that is no word',
    { tunnels: [lostTunnel(failing('no word!'))] },
    'False NotConnected',
    'Unknown NotConnected',
    'False NotConnected',
    'Reconciling Progressing',
  ],
  [
    'a destination that refuses',
    { tunnels: [readyTunnel(refused)] },
    'True Connected',
    'False DestinationRefused',
    'False DestinationRefused',
    'Reconciling Progressing',
  ],
  [
    'a destination that one of two pods cannot reach',
    { tunnels: [readyTunnel(), readyTunnel(refused, 'b')] },
    'True Connected',
    'False DestinationRefused',
    'False DestinationRefused',
    'Reconciling Progressing',
  ],
  [
    'forwarding prohibited',
    {
      tunnels: [
        readyTunnel({ ...carrying, ports: [{ name: 'postgres', reachable: false, reason: 'ForwardingProhibited' }] }),
      ],
    },
    'True Connected',
    'False ForwardingProhibited',
    'False ForwardingProhibited',
    'Stalled ForwardingProhibited',
  ],
  [
    'readinessPolicy Destination, which keeps the pod from being ready',
    { tunnels: [lostTunnel(refused)] },
    'False DestinationRefused',
    'False DestinationRefused',
    'False DestinationRefused',
    'Reconciling Progressing',
  ],
  [
    'no result yet',
    { tunnels: [readyTunnel(unproved)] },
    'True Connected',
    'Unknown NoResultYet',
    'Unknown NoResultYet',
    'Reconciling Progressing',
  ],
  [
    'health Off',
    { portForward: portForward({ healthCheck: { destination: 'Off' } }), tunnels: [readyTunnel(unproved)] },
    'True Connected',
    'Unknown NotChecked',
    'True Ready',
    '-',
  ],
  [
    'OnDemand without a client',
    { portForward: portForward({ connection: { mode: 'OnDemand' } }), tunnels: [readyTunnel(idle)] },
    'True Connected',
    'Unknown Idle',
    'True Idle',
    '-',
  ],
  [
    'OnDemand with a client',
    { portForward: portForward({ connection: { mode: 'OnDemand' } }) },
    'True Connected',
    'True Reachable',
    'True Ready',
    '-',
  ],
  [
    'a ready pod that cannot be read',
    { tunnels: [unreadableTunnel(true)] },
    'True StatusUnreadable',
    'Unknown StatusUnreadable',
    'Unknown StatusUnreadable',
    'Reconciling Progressing',
  ],
  [
    'a ready pod that cannot be read beside one that can',
    { tunnels: [readyTunnel(carrying, 'a'), unreadableTunnel(true, 'b')] },
    'True StatusUnreadable',
    'Unknown StatusUnreadable',
    'Unknown StatusUnreadable',
    'Reconciling Progressing',
  ],
  [
    'a ready pod that cannot be read beside one that cannot reach the destination',
    { tunnels: [unreadableTunnel(true, 'a'), readyTunnel(refused, 'b')] },
    'True StatusUnreadable',
    'False DestinationRefused',
    'False DestinationRefused',
    'Reconciling Progressing',
  ],
  [
    'a ready pod without a result beside one with',
    { tunnels: [readyTunnel(carrying, 'a'), readyTunnel(unproved, 'b')] },
    'True Connected',
    'True Reachable',
    'True Ready',
    '-',
  ],
  [
    'only pods that carry to a former destination',
    { tunnels: [readyTunnel(elsewhere, 'a', 'old')] },
    'True Connected',
    'Unknown NoResultYet',
    'Unknown NoResultYet',
    'Reconciling Progressing',
  ],
  [
    'the former destination fails',
    {
      tunnels: [
        readyTunnel({ ...carrying, ports: [{ ...refused.ports[0], destination: 'old:1' } as never] }, 'a', 'old'),
      ],
    },
    'True Connected',
    'Unknown NoResultYet',
    'Unknown NoResultYet',
    'Reconciling Progressing',
  ],
  [
    'a pod reaches the new destination while another still carries to the former one',
    { tunnels: [readyTunnel(elsewhere, 'a', 'old'), readyTunnel(there, 'b')] },
    'True Connected',
    'Unknown NoResultYet',
    'Unknown NoResultYet',
    'Reconciling Progressing',
  ],
  [
    'all pods reach the new destination',
    { tunnels: [readyTunnel(there)] },
    'True Connected',
    'True Reachable',
    'True Ready',
    '-',
  ],
  [
    'health Off while a pod carries to a former destination',
    {
      portForward: portForward({ healthCheck: { destination: 'Off' } }),
      tunnels: [readyTunnel(elsewhere, 'a', 'old')],
    },
    'True Connected',
    'Unknown NoResultYet',
    'Unknown NoResultYet',
    'Reconciling Progressing',
  ],
  [
    'an edit of the way only, while pods of the former way carry',
    {
      deployment: deployment(1, { replicas: 2, updatedReplicas: 1 }),
      tunnels: [readyTunnel(there, 'a', 'old'), lostTunnel(undefined, 'b')],
    },
    'True Connected',
    'True Reachable',
    'True Ready',
    'Reconciling Progressing',
  ],
  [
    'a pod that is neither ready nor can be read',
    { tunnels: [unreadableTunnel(false)] },
    'False StatusUnreadable',
    'Unknown StatusUnreadable',
    'Unknown StatusUnreadable',
    'Reconciling Progressing',
  ],
  [
    'a pod that cannot be read because it is starting',
    {
      tunnels: [
        observeTunnel(pod(waiting('ContainerCreating')), { status: undefined, unreadable: 'refused' }, template),
      ],
    },
    'False PodStarting',
    'Unknown PodStarting',
    'False PodStarting',
    'Reconciling Progressing',
  ],
  [
    'suspended',
    { portForward: portForward({ suspend: true }), tunnels: [] },
    'False Suspended',
    'Unknown Suspended',
    'False Suspended',
    '-',
  ],
  [
    'scaled to zero',
    { portForward: portForward({ replicas: 0 }), tunnels: [] },
    'False ScaledToZero',
    'Unknown ScaledToZero',
    'False ScaledToZero',
    '-',
  ],
  [
    'no image',
    { tunnels: [kubernetesSays(waiting('ImagePullBackOff', 'back-off'))] },
    'False ImagePullFailed',
    'Unknown ImagePullFailed',
    'False ImagePullFailed',
    'Reconciling Progressing',
  ],
  [
    'no image on the node and none may be pulled',
    { tunnels: [kubernetesSays(waiting('ErrImageNeverPull'))] },
    'False ImagePullFailed',
    'Unknown ImagePullFailed',
    'False ImagePullFailed',
    'Reconciling Progressing',
  ],
  [
    'no node',
    {
      tunnels: [
        kubernetesSays({
          conditions: [
            { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' },
          ],
        }),
      ],
    },
    'False Unschedulable',
    'Unknown Unschedulable',
    'False Unschedulable',
    'Reconciling Progressing',
  ],
  [
    'a container that cannot be made',
    { tunnels: [kubernetesSays(waiting('CreateContainerConfigError', 'no such file'))] },
    'False PodFailed',
    'Unknown PodFailed',
    'False PodFailed',
    'Reconciling Progressing',
  ],
  [
    'quota used up',
    { tunnels: [], deployment: replicaFailure('pods "x" is forbidden: exceeded quota: q, requested: pods=1') },
    'False QuotaExceeded',
    'Unknown QuotaExceeded',
    'False QuotaExceeded',
    'Reconciling Progressing',
  ],
  [
    'LimitRange refuses',
    {
      tunnels: [],
      deployment: replicaFailure(
        'pods "x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 256Mi',
      ),
    },
    'False QuotaExceeded',
    'Unknown QuotaExceeded',
    'False QuotaExceeded',
    'Reconciling Progressing',
  ],
  [
    'Pod Security refuses',
    { tunnels: [], deployment: replicaFailure('pods "x" is forbidden: violates PodSecurity "restricted:latest": x') },
    'False PodSecurityViolation',
    'Unknown PodSecurityViolation',
    'False PodSecurityViolation',
    'Reconciling Progressing',
  ],
  [
    'another admission refuses',
    { tunnels: [], deployment: replicaFailure('admission webhook "x" denied the request') },
    'False PodRefused',
    'Unknown PodRefused',
    'False PodRefused',
    'Reconciling Progressing',
  ],
  [
    'an invalid document, tunnels running',
    { portForward: undefined, refusal: { reason: 'InvalidSpec', message: 'spec.ports: x' } },
    'True Connected',
    'Unknown NoResultYet',
    'False InvalidSpec',
    'Stalled InvalidSpec',
  ],
  [
    'an endpoint that is not allowed',
    { refusal: { reason: 'EndpointNotAllowed', message: 'spec.ssm.endpoints: x' }, tunnels: [] },
    'False PodStarting',
    'Unknown PodStarting',
    'False EndpointNotAllowed',
    'Stalled EndpointNotAllowed',
  ],
  [
    'a foreign Service',
    { obstacle: { reason: 'ResourceConflict', message: 'Service x exists' } },
    'True Connected',
    'True Reachable',
    'False ResourceConflict',
    'Stalled ResourceConflict',
  ],
  [
    'the API server cannot write an object of a new document',
    { obstacle: apiServerFails },
    'True Connected',
    'True Reachable',
    'False ApiServerError',
    'Reconciling Progressing',
  ],
  [
    "a former namesake's children",
    { obstacle: { reason: 'Progressing', message: 'waiting' }, tunnels: [] },
    'False PodStarting',
    'Unknown PodStarting',
    'False Progressing',
    'Reconciling Progressing',
  ],
  [
    'a rollout while the older pod carries',
    {
      deployment: deployment(1, { replicas: 2, updatedReplicas: 1 }),
      tunnels: [readyTunnel(carrying, 'a', 'old'), lostTunnel(undefined, 'b')],
    },
    'True Connected',
    'True Reachable',
    'True Ready',
    'Reconciling Progressing',
  ],
  [
    'a stuck rollout while the older pod carries',
    {
      deployment: deployment(1, {
        replicas: 2,
        updatedReplicas: 1,
        conditions: [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }],
      }),
      tunnels: [readyTunnel(carrying, 'a', 'old'), lostTunnel(failing('BastionTimeout'), 'b')],
    },
    'True Connected',
    'True Reachable',
    'True Ready',
    'Stalled BastionTimeout',
  ],
];

for (const [situation, seen, ...wanted] of rows) {
  test(`${situation}: ${wanted.join(', ')}`, () => {
    const { conditions } = computeStatus(stored(), observation(seen), now).status;
    const shown = (type: string): string => {
      const condition = conditions?.find((each) => each.type === type);
      return condition === undefined ? '-' : `${condition.status} ${condition.reason}`;
    };
    const progress = conditions?.filter(({ type }) => type === 'Reconciling' || type === 'Stalled') ?? [];
    assert.deepEqual(
      [
        shown('Connected'),
        shown('DestinationReachable'),
        shown('Ready'),
        progress.map(({ type, reason }) => `${type} ${reason}`).join() || '-',
      ],
      wanted,
    );
    for (const condition of conditions ?? []) {
      assert.equal(condition.observedGeneration, 3);
      assert.equal(condition.lastTransitionTime, '2026-02-03T04:05:06Z');
      assert.ok(condition.message.length > 0 || condition.reason === 'NotConnected', condition.type);
    }
  });
}

function stored() {
  return { ...portForward(), status: { observedGeneration: -1 } };
}

test('a failure of the tunnel is reported with the sidecar’s sentence, which names the remedy itself', () => {
  const message = 'bastion.example.com:22 refuses the connection: start sshd there';
  const tunnels = [lostTunnel(failing('BastionRefused', message))];
  const { conditions } = computeStatus(stored(), observation({ tunnels }), now).status;
  assert.equal(conditions?.find(({ type }) => type === 'Ready')?.message, message);
});

test('a failure without a sentence is reported by its remedy', () => {
  const tunnels = [lostTunnel(failing('BastionRefused', ''))];
  const { conditions } = computeStatus(stored(), observation({ tunnels }), now).status;
  assert.equal(conditions?.find(({ type }) => type === 'Ready')?.message, errorCodes.BastionRefused.remedy);
});

test('status names address, ports, destinations, vias, pods and selector', () => {
  const tunnels = [
    readyTunnel(carrying, 'a'),
    readyTunnel({ ...carrying, via: 'other.example.com:22' }, 'b'),
    lostTunnel(failing('BastionTimeout', 'no answer'), 'c'),
  ];
  const { status } = computeStatus(stored(), observation({ tunnels, deployment: deployment(3) }), now);
  const { conditions: _, ...rest } = status;
  assert.deepEqual(rest, {
    observedGeneration: 3,
    driver: 'ssh',
    address: 'orders-db.shop.svc',
    ports: [
      { name: 'postgres', address: 'orders-db.shop.svc:5432', destination: 'orders.db.internal:5432', reachable: true },
    ],
    destinations: 'orders.db.internal:5432',
    selector: 'app.kubernetes.io/managed-by=portforward-operator,portforward.dev/name=orders-db',
    replicas: 3,
    readyReplicas: 2,
    readyPods: '2/1',
    via: 'bastion.example.com:22,other.example.com:22',
    tunnels: [
      { pod: 'a', state: 'Connected', via: 'bastion.example.com:22', since: '2026-01-01T00:00:00Z' },
      { pod: 'b', state: 'Connected', via: 'other.example.com:22', since: '2026-01-01T00:00:00Z' },
      { pod: 'c', state: 'Failed', since: '2026-01-01T00:00:00Z', message: 'no answer' },
    ],
  });
});

test('a tunnel that tries again and again is shown as failed since it failed first', () => {
  const first = computeStatus(stored(), observation({ tunnels: [lostTunnel(failing('BastionTimeout'))] }), now).status;
  const again = { ...failing('BastionTimeout'), state: 'Connecting' as const, since: '2026-01-01T00:09:00Z' };
  const second = computeStatus(
    { ...stored(), status: first },
    observation({ tunnels: [lostTunnel(again)] }),
    now,
  ).status;
  assert.deepEqual(second.tunnels, first.tunnels);
});

test('a date that is none is left out, because the API server would refuse the whole status', () => {
  for (const since of ['yesterday', '-000001-01-01T00:00:00Z', '0000-01-01T00:00:00Z', '+010000-01-01T00:00:00Z']) {
    const tunnels = [readyTunnel({ ...carrying, since })];
    assert.equal(computeStatus(stored(), observation({ tunnels }), now).status.tunnels?.[0]?.since, undefined, since);
  }
});

test('a tunnel whose objects were written is what its pods say while the API server cannot write one of them again', () => {
  const before = computeStatus(stored(), observation(), now).status;
  const after = (seen: Partial<Observation>, generation = 3): string[] => {
    const document = portForward({}, { generation });
    const { conditions } = computeStatus({ ...document, status: before }, observation(seen), now).status;
    const told = conditions?.filter(({ type }) => ['Programmed', 'Ready', 'Reconciling', 'Stalled'].includes(type));
    return told?.map(({ type, status, reason }) => `${type} ${status} ${reason}`) ?? [];
  };
  const programmed = 'Programmed False ApiServerError';
  const writing = 'Reconciling True ApiServerError';
  assert.deepEqual(after({ obstacle: apiServerFails }), [programmed, 'Ready True Ready', writing]);
  const lost = { obstacle: apiServerFails, tunnels: [lostTunnel(failing('BastionTimeout'))] };
  assert.deepEqual(after(lost), [programmed, 'Ready False BastionTimeout', writing], 'an outage is no rollout');
  const edited = after({ obstacle: apiServerFails }, 4);
  const settling = 'Reconciling True Progressing';
  assert.deepEqual(edited, [programmed, 'Ready False ApiServerError', settling], 'what is new is not there yet');
});

test('what cannot be read is named, beside what can', () => {
  const tunnels = [readyTunnel(carrying, 'a'), unreadableTunnel(true, 'b')];
  const document = portForward({ replicas: 2 });
  const { conditions } = computeStatus(document, observation({ portForward: document, tunnels }), now).status;
  const message = conditions?.find(({ type }) => type === 'Connected')?.message ?? '';
  assert.match(message, /^2 of 2 pods are ready, but the status of pod x cannot be read from http/);
});

test('the times of a condition change with its status only', () => {
  const before = computeStatus(stored(), observation({ tunnels: [lostTunnel(failing('BastionTimeout'))] }), now).status;
  const later = new Date('2026-02-03T05:00:00Z');
  const next = (seen: Partial<Observation>) =>
    computeStatus({ ...stored(), status: before }, observation(seen), later).status.conditions?.find(
      ({ type }) => type === 'Ready',
    );
  assert.equal(next({ tunnels: [lostTunnel(failing('BastionRefused'))] })?.lastTransitionTime, '2026-02-03T04:05:06Z');
  assert.equal(next({})?.lastTransitionTime, '2026-02-03T05:00:00Z');
});
