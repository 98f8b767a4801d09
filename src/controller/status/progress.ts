// Reconciling and Stalled, the two conditions that kstatus, Flux and Argo CD read: work is under way, or nothing will change without a
// person. Both are absent when all is normal, and during a passing outage after the tunnel was ready. Pure.
//
// A tunnel is *settling* from its creation, and again after each edit, resume or refusal, until it is Ready. It may take 120 s; then it is
// Stalled until it is Ready after all. The conditions themselves remember this, so it survives a restart of the controller.
// Neighbours: conditions.ts (all other conditions), status.ts.
import type { Condition, PortForwardStatus } from '../../contract/api/status.ts';
import type { Deployment } from '../kube/resources.ts';
import { atRest, disconnectedBecause, type Observation, type Verdict } from './conditions.ts';
import { isPermanent, type Problem, withMend } from './sentence.ts';

/** How long a tunnel may take until it is Ready for the first time. */
const settlingMs = 120_000;

export interface Progress {
  /** Reconciling=True, Stalled=True, or neither. */
  readonly verdict: (Verdict & { readonly type: 'Reconciling' | 'Stalled' }) | undefined;
  /** When time alone will change the verdict. */
  readonly changesInMs: number | undefined;
}

const none: Progress = { verdict: undefined, changesInMs: undefined };

const stalled = (problem: Problem): Progress => ({
  verdict: { type: 'Stalled', status: 'True', ...withMend(problem) },
  changesInMs: undefined,
});

const reconciling = (message: string, changesInMs?: number): Progress => ({
  verdict: { type: 'Reconciling', status: 'True', reason: 'Progressing', message },
  changesInMs,
});

export function progress(
  observation: Observation,
  readyNow: Verdict,
  generation: number,
  previous: PortForwardStatus | undefined,
  now: Date,
): Progress {
  for (const problem of [observation.refusal, observation.obstacle]) {
    if (problem === undefined) continue;
    if (problem.reason === 'Progressing') return reconciling(problem.message);
    if (isPermanent(problem)) return stalled(problem);
  }
  if (atRest(observation) !== undefined) return none;
  const rolling = rollout(observation.deployment);
  if (readyNow.status === 'True') {
    if (rolling === undefined) return none;
    return rolling.stuck ? stalled(stuckBecause(observation)) : reconciling(rolling.message);
  }
  if (isPermanent(readyNow)) return stalled({ reason: readyNow.reason, message: readyNow.message });
  if (rolling === undefined && !settling(generation, previous)) return none;

  const before = startsAnew(generation, previous) ? undefined : previous;
  const timedOut = stalled({
    reason: 'TimedOut',
    message: `Not ready within ${settlingMs / 1000} s: ${readyNow.message}`,
  });
  if (isTrue(before, 'Stalled')) return timedOut;
  const since = condition(before, 'Reconciling')?.lastTransitionTime;
  const waited = since === undefined ? 0 : now.getTime() - Date.parse(since);
  if (waited >= settlingMs) return timedOut;
  return reconciling(readyNow.message, settlingMs - Math.max(0, waited));
}

const condition = (status: PortForwardStatus | undefined, type: string): Condition | undefined =>
  status?.conditions?.find((each) => each.type === type);

const isTrue = (status: PortForwardStatus | undefined, type: string): boolean =>
  condition(status, type)?.status === 'True';

/** Whether the 120 s begin now: a new document, or one that was held up by something other than its tunnel. */
function startsAnew(generation: number, previous: PortForwardStatus | undefined): boolean {
  if (previous?.observedGeneration !== generation) return true;
  const held = ['Accepted', 'Programmed'].some((type) => condition(previous, type)?.status === 'False');
  const ready = condition(previous, 'Ready');
  return held || ready === undefined || ready.reason === 'Suspended' || ready.reason === 'ScaledToZero';
}

function settling(generation: number, previous: PortForwardStatus | undefined): boolean {
  return startsAnew(generation, previous) || isTrue(previous, 'Reconciling') || isTrue(previous, 'Stalled');
}

/** The replacement of pods that is under way, as `kubectl rollout status` sees it; a pod that is not ready for another reason is none. */
function rollout(
  deployment: Deployment | undefined,
): { readonly stuck: boolean; readonly message: string } | undefined {
  if (deployment?.spec === undefined) return undefined;
  const { metadata, spec, status } = deployment;
  const wanted = spec.replicas ?? 1;
  const updated = status?.updatedReplicas ?? 0;
  const all = status?.replicas ?? 0;
  const observed = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  if (observed && updated >= wanted && all <= updated) return undefined;
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
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
