// What is known of each tunnel pod: Kubernetes' view of it joined with what it says of itself at /statusz. Pure.
// Neighbours: statusz-reader.ts (asks the pods), pod-problems.ts, conditions.ts (what it means for the PortForward).
import type { PortForwardTunnelStatus } from '../../contract/api/status.ts';
import { defined } from '../../contract/defined.ts';
import { containerName } from '../../contract/pod.ts';
import type { PortStatus, TunnelStatus } from '../../contract/tunnel-status.ts';
import { templateOf } from '../children/deployment.ts';
import type { Pod } from '../kube/base/resources.ts';
import { podProblem } from './pod-problems.ts';
import type { Problem } from './problem.ts';

/** The result of reading /statusz of one pod. */
export interface Reading {
  /** The last good answer; a single failed read does not discard it. */
  readonly status: TunnelStatus | undefined;
  /** Why it cannot be read, once several reads in a row failed. */
  readonly unreadable: string | undefined;
}

export interface ObservedTunnel {
  readonly pod: string;
  readonly ready: boolean;
  /** Created from the Deployment’s present template. */
  readonly current: boolean;
  readonly status: TunnelStatus | undefined;
  /** Its container runs, but it cannot be read. */
  readonly unreadable: string | undefined;
  /** Why it is not ready; undefined when it is. */
  readonly cause: Problem | undefined;
}

/** Ready as the endpoints see it: not being deleted, and ready by the kubelet. */
export function isReady({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}

/** True if its process should answer: the startup probe has passed. */
export function isRunning(pod: Pod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined || pod.status?.podIP === undefined) return false;
  const container = pod.status.containerStatuses?.find(({ name }) => name === containerName);
  return isReady(pod) || (container?.started === true && container.state?.running !== undefined);
}

/** The tunnel of a pod; `template` is the Deployment’s present one. The reading of a process that has ended does not count. */
export function observeTunnel(pod: Pod, reading: Reading | undefined, template: string | undefined): ObservedTunnel {
  const ready = isReady(pod);
  const heard = isRunning(pod) ? reading : undefined;
  return {
    pod: pod.metadata.name,
    ready,
    current: template !== undefined && templateOf(pod) === template,
    status: heard?.status,
    unreadable: heard?.unreadable,
    cause: ready ? undefined : notReadyBecause(pod, heard),
  };
}

function notReadyBecause(pod: Pod, reading: Reading | undefined): Problem {
  const problem = podProblem(pod);
  if (problem !== undefined) return problem;
  const { name } = pod.metadata;
  if (reading?.unreadable !== undefined && isRunning(pod))
    return { reason: 'StatusUnreadable', message: reading.unreadable };
  const status = reading?.status;
  if (status === undefined) return { reason: 'PodStarting', message: `pod ${name} is starting` };
  if (status.reason !== undefined) return { reason: reasonWord(status.reason), message: status.message ?? '' };
  // readinessPolicy Destination: the transport is up, a port is not.
  const port = status.ports.find(({ reachable }) => reachable === false);
  if (port !== undefined) {
    return {
      reason: reasonWord(port.reason ?? 'DestinationUnreachable'),
      message: port.message ?? `${port.name} is not reachable`,
    };
  }
  if (status.state === 'Connected')
    return { reason: 'PodStarting', message: `pod ${name} was connected when it was last asked, and is not ready` };
  return { reason: 'NotConnected', message: `pod ${name} is ${status.state.toLowerCase()}` };
}

/** A reason in the form that metav1.Condition takes; what a pod says may not have it. */
export function reasonWord(reason: string): string {
  return /^[A-Za-z]([A-Za-z0-9_,:]{0,126}[A-Za-z0-9_])?$/.test(reason) ? reason : 'NotConnected';
}

/**
 * An entry of status.tunnels. A tunnel that keeps trying alternates between Failed and Connecting. This shows as one state, whose `since`
 * comes from `previous`; otherwise an outage would write the status every two seconds.
 */
export function tunnelEntry(
  tunnel: ObservedTunnel,
  previous: PortForwardTunnelStatus | undefined,
): PortForwardTunnelStatus {
  const { status, cause } = tunnel;
  const state = stateOf(status);
  const full = fullPorts(status);
  // RFC 3339 in UTC: the order of the texts is that of the times.
  const [firstFull] = full.toSorted((a, b) => ((a.fullSince ?? '') < (b.fullSince ?? '') ? -1 : 1));
  const began = state === fullState ? firstFull?.fullSince : status?.since;
  const since = previous?.state === state ? previous.since : dateTime(began);
  const refuses = `clients of ${full.map(({ name }) => name).join(', ')} are refused: the pod carries all connections that they may have`;
  const message = status?.message ?? cause?.message ?? (state === fullState ? refuses : undefined);
  return defined({
    pod: tunnel.pod,
    state,
    via: status?.via?.slice(0, 320),
    since,
    message: message === '' ? undefined : message?.slice(0, 1024),
    hostKeyFingerprint: status?.hostKeyFingerprint?.slice(0, 128),
    sessionId: status?.sessionId?.slice(0, 128),
    transport: status?.transport?.slice(0, 16),
  });
}

/** The ports whose clients the pod refuses because it carries all connections that they may have. */
export function fullPorts(status: TunnelStatus | undefined): readonly PortStatus[] {
  return status?.ports.filter(({ fullSince }) => fullSince !== undefined) ?? [];
}

/** State of a connected tunnel that refuses clients. */
export const fullState = 'Full';

function stateOf(status: TunnelStatus | undefined): string {
  if (status === undefined) return 'Unknown';
  if (status.state === 'Connected' && fullPorts(status).length > 0) return fullState;
  return status.state === 'Connecting' && status.reason !== undefined ? 'Failed' : status.state;
}

/** RFC 3339 in whole seconds, or undefined: the API server refuses the whole status for one bad date. */
export function dateTime(text: string | undefined): string | undefined {
  const date = new Date(text ?? '');
  const year = date.getUTCFullYear();
  return year >= 1 && year <= 9999 ? `${date.toISOString().slice(0, 19)}Z` : undefined;
}
