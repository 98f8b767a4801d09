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

const told = (before: PortForwardStatus | undefined, now: PortForwardStatus): string[] =>
  transitions(before, now).map(({ type, reason }) => `${type} ${reason}`);

const withPod = (status: PortForwardStatus, state: string): PortForwardStatus => ({
  ...status,
  tunnels: [{ pod: 'pod-1', state, message: `it is ${state}` }],
});

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
