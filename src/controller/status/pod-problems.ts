// Why Kubernetes does not run a tunnel's pods: refused on creation (quota, Pod Security), not scheduled, image not pulled, container
// not starting. Read from Deployment and pod conditions, because such a pod cannot answer itself. Pure.
// Neighbours: observed-tunnel.ts (pods that run), conditions.ts.
import { containerName } from '../../contract/pod.ts';
import type { Deployment, Pod } from '../kube/base/resources.ts';
import type { Problem } from './problem.ts';

/** The kubelet's reasons (kubernetes pkg/kubelet/images/types.go) that mean: no image. */
const imageReasons = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);

/** Waiting reasons of a pod that simply starts. */
const startingReasons = new Set(['ContainerCreating', 'PodInitializing']);

/** Why the API server refuses new pods of the Deployment; undefined when it does not. */
export function refusedPods(deployment: Deployment | undefined): Problem | undefined {
  const failure = deployment?.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  if (failure?.status !== 'True') return undefined;
  const message = failure.message ?? '';
  return { reason: refusalReason(message), message: `no pod can be created: ${message}` };
}

/** Admission gives its reason in words only; these are the sentences of the quota, LimitRanger and PodSecurity plugins. */
export function refusalReason(message: string): 'QuotaExceeded' | 'PodSecurityViolation' | 'PodRefused' {
  if (
    /exceeded quota|failed quota|(maximum|minimum) (cpu|memory|[\w.\-/]+) usage per|limit to request ratio/.test(
      message,
    )
  ) {
    return 'QuotaExceeded';
  }
  return message.includes('violates PodSecurity') ? 'PodSecurityViolation' : 'PodRefused';
}

/** What keeps a pod from running; undefined when its container runs or is about to. */
export function podProblem(pod: Pod): Problem | undefined {
  const { status } = pod;
  const name = pod.metadata.name;
  if (status?.phase === 'Failed') {
    const reason = status.reason ?? 'Failed';
    return { reason: 'PodFailed', message: `pod ${name} has failed (${reason}): ${status.message ?? 'no message'}` };
  }
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    return {
      reason: 'Unschedulable',
      message: `pod ${name} cannot be scheduled: ${scheduled.message ?? scheduled.reason}`,
    };
  }
  const container = status?.containerStatuses?.find((each) => each.name === containerName);
  const waiting = container?.state?.waiting;
  if (waiting?.reason !== undefined && imageReasons.has(waiting.reason)) {
    const detail = waiting.message === undefined ? '' : `: ${waiting.message}`;
    return {
      reason: 'ImagePullFailed',
      message: `image ${container?.image} cannot be pulled (${waiting.reason})${detail}`,
    };
  }
  const ended = container?.state?.terminated ?? container?.lastState?.terminated;
  const crashed = waiting?.reason === 'CrashLoopBackOff' || container?.state?.terminated !== undefined;
  if (crashed && ended !== undefined) {
    const detail = lastLine(ended.message);
    return {
      reason: 'PodFailed',
      message: `the container of pod ${name} ended with exit code ${ended.exitCode} (${ended.reason ?? 'Error'})${detail}`,
    };
  }
  if (waiting?.reason !== undefined && !startingReasons.has(waiting.reason)) {
    const detail = waiting.message === undefined ? '' : `: ${waiting.message}`;
    return { reason: 'PodFailed', message: `the container of pod ${name} does not start (${waiting.reason})${detail}` };
  }
  return undefined;
}

/** The last line that a person can read. Of our own log, which the kubelet passes on in JSON, only an error says why the process ended. */
function lastLine(text: string | undefined): string {
  const lines = text?.trim().split('\n').toReversed() ?? [];
  const line = lines.map(readable).find((each) => each !== '') ?? '';
  return line === '' ? '' : `: ${line.slice(0, 300)}`;
}

function readable(line: string): string {
  // The kubelet keeps the end of a log: its first line may be half of one.
  if (!line.startsWith('{')) return line.endsWith('}') && line.includes('"msg":') ? '' : line.trim();
  try {
    const { level, message, msg, error } = JSON.parse(line) as Record<string, unknown>;
    if (level !== 'error') return '';
    const cause = typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined;
    const told = [message, cause, msg].find((each) => typeof each === 'string');
    return typeof told === 'string' ? told : '';
  } catch {
    return '';
  }
}
