// Reconciling and Stalled, the two conditions that kstatus, Flux and Argo CD read: work is under way, or nothing will change without a
// person. Both are absent when all is normal, and during a passing outage after the tunnel was ready. Pure.
//
// A tunnel is *settling* from its creation, and again after each edit, resume or refusal, until it is Ready. It may take 120 s; then it is
// Stalled until it is Ready after all. Reconciling itself remembers since when, so it survives a restart of the controller.
// Neighbours: conditions.ts (all other conditions), status.ts.
import type { Condition, PortForwardStatus } from '../../contract/api/status.ts';
import type { Deployment } from '../kube/base/resources.ts';
import { type ConditionVerdict, disconnectedBecause, type Observation, scaledToZeroReason } from './conditions.ts';
import { isApiServerError, isPermanent, type Problem, withMend } from './problem.ts';

/** How long a tunnel may take until it is Ready for the first time. */
const settlingMs = 120_000;

type Outlook = Pick<Progress, 'verdict' | 'changesInMs'>;

export interface Progress {
  /** Reconciling=True, Stalled=True, or neither. */
  readonly verdict: (ConditionVerdict & { readonly type: 'Reconciling' | 'Stalled' }) | undefined;
  /** When time alone will change the verdict. */
  readonly changesInMs: number | undefined;
  /** The 120 s begin now: since when it was Reconciling before counts no more. */
  readonly startsAnew: boolean;
}

/** Of a Reconciling that waits for Ready; another has its own, and its end is no failure to become Ready. */
const settlingReason = 'Progressing';

const none: Outlook = { verdict: undefined, changesInMs: undefined };

const stalled = ({ reason, message }: Problem): Outlook => ({
  verdict: { type: 'Stalled', status: 'True', ...withMend({ reason, message }) },
  changesInMs: undefined,
});

const reconciling = (message: string, changesInMs?: number, reason: string = settlingReason): Outlook => ({
  verdict: { type: 'Reconciling', status: 'True', reason, message },
  changesInMs,
});

export function progress(
  observation: Observation,
  readyNow: ConditionVerdict,
  generation: number,
  previous: PortForwardStatus | undefined,
  now: Date,
): Progress {
  const settles = startsToSettle(observation, generation, previous);
  const startsAnew = settles || (isTrue(previous, 'Ready') && readyNow.status !== 'True');
  const reconcilingBefore = condition(previous, 'Reconciling');
  const wasSettling = reconcilingBefore?.reason === settlingReason;
  const since = startsAnew || !wasSettling ? undefined : reconcilingBefore.lastTransitionTime;
  const waited = since === undefined ? 0 : now.getTime() - Date.parse(since);
  const before = settles ? undefined : previous;
  const { verdict, changesInMs } = outlook(observation, readyNow, settles, before, Math.max(0, waited));
  // Until now it was Reconciling for something else.
  const begins = verdict?.reason === settlingReason && reconcilingBefore !== undefined && !wasSettling;
  return { verdict, changesInMs, startsAnew: startsAnew || begins };
}

function outlook(
  observation: Observation,
  readyNow: ConditionVerdict,
  settles: boolean,
  before: PortForwardStatus | undefined,
  waitedMs: number,
): Outlook {
  const { obstacle, deployment, tunnels } = observation;
  const held = heldBy(observation);
  if (held !== undefined) return isPermanent(held) ? stalled(held) : reconciling(withMend(held).message);
  const unwritten = obstacle === undefined ? none : reconciling(withMend(obstacle).message, undefined, obstacle.reason);
  if (scaledToZeroReason(observation) !== undefined) return unwritten;
  if (isPermanent(readyNow)) return stalled(readyNow);
  const rolling = rollout(deployment);
  // To replace many pods one by one takes as long as it takes; Kubernetes says when it gets no further.
  if (rolling !== undefined && tunnels.some(({ ready }) => ready)) {
    return rolling.stuck ? stalled(stuckBecause(observation)) : reconciling(rolling.message);
  }
  if (readyNow.status === 'True') return unwritten;
  const wasSettling = condition(before, 'Reconciling')?.reason === settlingReason;
  const settling = settles || wasSettling || isTrue(before, 'Stalled');
  if (rolling === undefined && !settling) return unwritten;
  if (isTrue(before, 'Stalled') || waitedMs >= settlingMs) {
    return stalled({ reason: 'TimedOut', message: `Not ready within ${settlingMs / 1000} s: ${readyNow.message}` });
  }
  return reconciling(readyNow.message, settlingMs - waitedMs);
}

const condition = (status: PortForwardStatus | undefined, type: string): Condition | undefined =>
  status?.conditions?.find((each) => each.type === type);

const isTrue = (status: PortForwardStatus | undefined, type: string): boolean =>
  condition(status, type)?.status === 'True';

/** What keeps the document from being acted on, other than the tunnel itself. */
const heldBy = ({ refusal, obstacle }: Observation): Problem | undefined =>
  refusal ?? (obstacle === undefined || isApiServerError(obstacle) ? undefined : obstacle);

/** A new document, or one that was held up or at rest until now. */
function startsToSettle(
  observation: Observation,
  generation: number,
  previous: PortForwardStatus | undefined,
): boolean {
  const ready = condition(previous, 'Ready');
  if (previous?.observedGeneration !== generation || ready === undefined) return true;
  const was = ['Accepted', 'Programmed'].map((type) => condition(previous, type));
  const wasHeld = was.some((each) => each?.status === 'False' && !isApiServerError(each));
  const wasAtRest = ready.reason === 'Suspended' || ready.reason === 'ScaledToZero';
  return (wasHeld && heldBy(observation) === undefined) || (wasAtRest && scaledToZeroReason(observation) === undefined);
}

/**
 * The replacement of pods that is under way, as `kubectl rollout status` sees it; a pod that is not ready for another reason is none, nor
 * is one that is missing since the replacement was complete.
 */
export function rollout(
  deployment: Deployment | undefined,
): { readonly stuck: boolean; readonly message: string } | undefined {
  if (deployment?.spec === undefined) return undefined;
  const { metadata, spec, status } = deployment;
  const wanted = spec.replicas ?? 1;
  const updated = status?.updatedReplicas ?? 0;
  const all = status?.replicas ?? 0;
  const observed = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
  const complete = updated >= wanted || progressing?.reason === 'NewReplicaSetAvailable';
  if (observed && complete && all <= updated) return undefined;
  return {
    stuck: observed && progressing?.status === 'False',
    message: `${updated} of ${wanted} pods are of the present document; ${Math.max(0, all - updated)} older ones remain.`,
  };
}

function stuckBecause(observation: Observation): Problem {
  const { reason, message } = disconnectedBecause(observation);
  const text = `The pods of the present document do not become ready, so older ones carry on: ${message}`;
  return { reason: reason === 'PodStarting' || reason === 'NotConnected' ? 'TimedOut' : reason, message: text };
}
