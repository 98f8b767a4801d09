// Which changes of the status become an Event: the tunnel became ready, it no longer is and why, or the reason changed. The steps of a
// start (starting, connecting) appear only in the conditions. Pure.
// Neighbours: status-writer.ts (records them), tunnel-transitions.ts (single pods and bastions), kube/events/events.ts (merges repeats).
import type { Condition, PortForwardStatus } from '../contract/api/status.ts';
import type { StatusCauses } from './status/status.ts';
import { type Transition, tunnelTransitions } from './tunnel-transitions.ts';

/** Reasons of a tunnel on its way to Ready: an Event only if it was ready before. A reason in neither set is a Warning. */
const passing = new Set(['PodStarting', 'NotConnected', 'NoResultYet', 'Progressing', 'Connected']);
/** Reasons that the document asks for. */
const wanted = new Set(['Suspended', 'ScaledToZero']);

/** True if a tunnel is not ready for no other reason than that it starts. */
export function isStarting(status: PortForwardStatus): boolean {
  const ready = find(status, 'Ready');
  return ready !== undefined && ready.status !== 'True' && passing.has(ready.reason);
}

/** True if a tunnel that was not ready only takes the next step of its start, of the same generation. */
export function isOnItsWay(previous: PortForwardStatus | undefined, next: PortForwardStatus): boolean {
  const before = find(previous, 'Ready');
  const now = find(next, 'Ready');
  if (before === undefined || now === undefined || previous?.observedGeneration !== next.observedGeneration)
    return false;
  return passing.has(before.reason) && before.status !== 'True' && passing.has(now.reason);
}

export function transitions(
  previous: PortForwardStatus | undefined,
  next: PortForwardStatus,
  causes: StatusCauses,
): Transition[] {
  const isReadyNow = find(next, 'Ready')?.status === 'True';
  return [
    ...readyTransition(previous, next),
    ...stalledTransition(previous, next),
    ...credentialsTransition(previous, next),
    ...(isReadyNow ? tunnelTransitions(previous, next, causes) : []),
  ];
}

/** A refused rotation, and its repair. */
function credentialsTransition(previous: PortForwardStatus | undefined, next: PortForwardStatus): Transition[] {
  const before = find(previous, 'CredentialsCurrent');
  const now = find(next, 'CredentialsCurrent');
  if (now?.status === 'False') {
    if (before?.status === 'False' && before.reason === now.reason) return [];
    const ready = find(next, 'Ready');
    // Then the Event of Ready says the same.
    if (ready?.status !== 'True' && ready?.reason === now.reason) return [];
    return [{ type: 'Warning', reason: now.reason, note: now.message }];
  }
  if (now?.status !== 'True' || before?.status !== 'False') return [];
  return [{ type: 'Normal', reason: now.reason, note: now.message }];
}

function readyTransition(previous: PortForwardStatus | undefined, next: PortForwardStatus): Transition[] {
  const before = find(previous, 'Ready');
  const now = find(next, 'Ready');
  if (now === undefined) return [];
  if (now.status === 'True') {
    // A change between Ready and Idle is nothing that a person must know.
    return before?.status === 'True' ? [] : [{ type: 'Normal', reason: now.reason, note: now.message }];
  }
  if (before?.reason === now.reason && before.status !== 'True') return [];
  if (wanted.has(now.reason)) return [{ type: 'Normal', reason: now.reason, note: now.message }];
  if (passing.has(now.reason)) {
    // A new generation starts over; that is no loss.
    return before?.status === 'True' && previous?.observedGeneration === next.observedGeneration
      ? [{ type: 'Warning', reason: now.reason, note: `no longer ready: ${now.message}` }]
      : [];
  }
  return [{ type: 'Warning', reason: now.reason, note: now.message }];
}

/** Stalled adds to Ready only where it has a reason of its own. */
function stalledTransition(previous: PortForwardStatus | undefined, next: PortForwardStatus): Transition[] {
  const now = find(next, 'Stalled');
  if (now === undefined || now.reason === find(previous, 'Stalled')?.reason) return [];
  if (now.reason === find(next, 'Ready')?.reason) return [];
  return [{ type: 'Warning', reason: now.reason, note: now.message }];
}

const find = (status: PortForwardStatus | undefined, type: string): Condition | undefined =>
  status?.conditions?.find((each) => each.type === type);
