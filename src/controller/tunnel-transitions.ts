// Which changes of single pods and bastions become an Event while the PortForward is ready: a pod that moved, is full or cannot log in, a
// bastion that would not help if it were needed. While it is not ready, the Event of its condition says more. Pure.
// Neighbours: transitions.ts (conditions; calls it), status/routes.ts.
import type { PortForwardStatus } from '../contract/api/status.ts';
import { fullState } from './status/observed-tunnel.ts';
import type { StatusCauses } from './status/status.ts';

/** What is worth an Event. */
export interface Transition {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}

export function tunnelTransitions(
  previous: PortForwardStatus | undefined,
  next: PortForwardStatus,
  causes: StatusCauses,
): Transition[] {
  return [...podTransitions(previous, next, causes), ...routeTransitions(previous, next, causes)];
}

function podTransitions(
  previous: PortForwardStatus | undefined,
  next: PortForwardStatus,
  { pods }: StatusCauses,
): Transition[] {
  const before = new Map(previous?.tunnels?.map((tunnel) => [tunnel.pod, tunnel]));
  return (next.tunnels ?? []).flatMap(({ pod, state, via, message }): Transition[] => {
    const was = before.get(pod);
    const isNew = was?.state !== state;
    if (state === fullState && isNew) return [warning('ConnectionLimit', `pod ${pod}: ${message ?? 'full'}`)];
    if (state === 'Failed' && isNew) {
      return [
        warning(pods.get(pod) ?? 'NotConnected', `pod ${pod} is not connected: ${message ?? 'no reason is known'}`),
      ];
    }
    if (via === undefined || was?.via === undefined || was.via === via) return [];
    return [{ type: 'Normal', reason: 'Moved', note: `pod ${pod} moved to ${via} (before: ${was.via})` }];
  });
}

function routeTransitions(
  previous: PortForwardStatus | undefined,
  next: PortForwardStatus,
  { routes }: StatusCauses,
): Transition[] {
  const before = new Map(previous?.routes?.map((route) => [route.via, route]));
  return (next.routes ?? []).flatMap(({ via, state, message }): Transition[] => {
    const was = before.get(via)?.state;
    if (state === 'Failed' && was !== 'Failed') {
      return [warning(routes.get(via) ?? 'NotConnected', `${via} cannot be used: ${message ?? 'no reason is known'}`)];
    }
    if (was !== 'Failed' || state === 'Failed') return [];
    return [{ type: 'Normal', reason: 'RouteRestored', note: `${via} can be used again` }];
  });
}

const warning = (reason: string, note: string): Transition => ({ type: 'Warning', reason, note });
