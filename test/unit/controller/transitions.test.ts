// Which changes of a status are worth an Event.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PortForwardStatus } from '../../../src/contract/api/status.ts';
import { transitions } from '../../../src/controller/transitions.ts';

const status = (ready: string, stalled?: string): PortForwardStatus => {
  const [is = '', reason = ''] = ready.split(' ');
  const condition = (type: 'Ready' | 'Stalled', value: string, why: string) => ({
    type,
    status: value as 'True' | 'False' | 'Unknown',
    reason: why,
    message: `because ${why}`,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  return {
    conditions: [
      condition('Ready', is, reason),
      ...(stalled === undefined ? [] : [condition('Stalled', 'True', stalled)]),
    ],
  };
};

const causes = {
  pods: new Map([['pod-1', 'AuthenticationFailed']]),
  routes: new Map([['b:22', 'HostKeyChanged']]),
};

const told = (before: PortForwardStatus | undefined, now: PortForwardStatus): string[] =>
  transitions(before, now, causes).map(({ type, reason }) => `${type} ${reason}`);

const withPod = (status: PortForwardStatus, state: string): PortForwardStatus => ({
  ...status,
  tunnels: [{ pod: 'pod-1', state, message: `it is ${state}` }],
});

const moved = (status: PortForwardStatus, via: string): PortForwardStatus => ({
  ...status,
  tunnels: [{ pod: 'pod-1', state: 'Connected', via }],
});
const withRoute = (status: PortForwardStatus, state: 'StandingBy' | 'Failed' | 'InUse'): PortForwardStatus => ({
  ...status,
  routes: [{ via: 'b:22', state, message: `it is ${state}` }],
});
const withCredentials = (ready: string, credentials: string): PortForwardStatus => {
  const [is = '', reason = ''] = credentials.split(' ');
  const { conditions = [] } = status(ready);
  const [first] = conditions;
  if (first === undefined) return { conditions };
  return {
    conditions: [first, { ...first, type: 'CredentialsCurrent', status: is as 'True' | 'False' | 'Unknown', reason }],
  };
};

const rows: readonly [string, PortForwardStatus | undefined, PortForwardStatus, string[]][] = [
  ['the first steps are not told', undefined, status('False PodStarting'), []],
  ['nor is connecting', status('False PodStarting'), status('False NotConnected'), []],
  ['ready is', status('False NotConnected'), status('True Ready'), ['Normal Ready']],
  ['staying ready is not', status('True Ready'), status('True Ready'), []],
  ['nor is a client that comes or goes', status('True Ready'), status('True Idle'), []],
  ['a loss is a warning', status('True Ready'), status('False BastionLost'), ['Warning BastionLost']],
  ['a loss by a pod that starts anew too', status('True Ready'), status('False PodStarting'), ['Warning PodStarting']],
  ['another reason is told', status('False BastionLost'), status('False BastionTimeout'), ['Warning BastionTimeout']],
  ['the same is not', status('False BastionTimeout'), status('False BastionTimeout'), []],
  ['not knowing is a warning', status('True Ready'), status('Unknown StatusUnreadable'), ['Warning StatusUnreadable']],
  [
    'a pod that is full is told while others carry',
    withPod(status('True Ready'), 'Connected'),
    withPod(status('True Ready'), 'Full'),
    ['Warning ConnectionLimit'],
  ],
  ['and not again', withPod(status('True Ready'), 'Full'), withPod(status('True Ready'), 'Full'), []],
  [
    'that every pod is full is told once',
    withPod(status('True Ready'), 'Connected'),
    withPod(status('False ConnectionLimit'), 'Full'),
    ['Warning ConnectionLimit'],
  ],
  [
    'a pod that moves to another bastion is told',
    moved(status('True Ready'), 'a:22'),
    moved(status('True Ready'), 'b:22'),
    ['Normal Moved'],
  ],
  ['a pod that stays is not', moved(status('True Ready'), 'a:22'), moved(status('True Ready'), 'a:22'), []],
  [
    'one pod that cannot log in is told while others carry',
    status('True Ready'),
    withPod(status('True Ready'), 'Failed'),
    ['Warning AuthenticationFailed'],
  ],
  ['and not again', withPod(status('True Ready'), 'Failed'), withPod(status('True Ready'), 'Failed'), []],
  [
    'a bastion that would not help is told while another carries',
    withRoute(status('True Ready'), 'StandingBy'),
    withRoute(status('True Ready'), 'Failed'),
    ['Warning HostKeyChanged'],
  ],
  ['and not again', withRoute(status('True Ready'), 'Failed'), withRoute(status('True Ready'), 'Failed'), []],
  [
    'its return is told',
    withRoute(status('True Ready'), 'Failed'),
    withRoute(status('True Ready'), 'InUse'),
    ['Normal RouteRestored'],
  ],
  [
    'a refused rotation is told while older credentials carry',
    withCredentials('True Ready', 'True Current'),
    withCredentials('True Ready', 'False AuthenticationFailed'),
    ['Warning AuthenticationFailed'],
  ],
  [
    'and not again',
    withCredentials('True Ready', 'False AuthenticationFailed'),
    withCredentials('True Ready', 'False AuthenticationFailed'),
    [],
  ],
  [
    'its repair is told',
    withCredentials('True Ready', 'False AuthenticationFailed'),
    withCredentials('True Ready', 'True Current'),
    ['Normal Current'],
  ],
  [
    'with nothing that carries, the reason is told once',
    withCredentials('True Ready', 'True Current'),
    withCredentials('False AuthenticationFailed', 'False AuthenticationFailed'),
    ['Warning AuthenticationFailed'],
  ],
  ['what was wanted is no warning', status('True Ready'), status('False Suspended'), ['Normal Suspended']],
  [
    'a stall with the reason of Ready is told once',
    undefined,
    status('False AuthenticationFailed', 'AuthenticationFailed'),
    ['Warning AuthenticationFailed'],
  ],
  [
    'a stall with its own reason is told',
    status('False BastionTimeout'),
    status('False BastionTimeout', 'TimedOut'),
    ['Warning TimedOut'],
  ],
  ['and not again', status('False BastionTimeout', 'TimedOut'), status('False BastionTimeout', 'TimedOut'), []],
];

test('what an edit begins anew is no loss', () => {
  const before = { ...status('True Ready'), observedGeneration: 1 };
  const now = { ...status('Unknown NoResultYet'), observedGeneration: 2 };
  assert.deepEqual(told(before, now), []);
  assert.deepEqual(told({ ...before, observedGeneration: 2 }, now), ['Warning NoResultYet']);
});

for (const [name, before, now, wanted] of rows) {
  test(name, () => assert.deepEqual(told(before, now), wanted));
}
