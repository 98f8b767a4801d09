// Reconciling and Stalled, the two conditions that kstatus, Flux and Argo CD read: work is in progress, or nothing will change without a
// person. Both are absent in normal operation, and during a transient outage after the tunnel was ready. Pure.
//
// A tunnel is *settling* from its creation, and again after each edit, resume or refusal, until it is Ready. It may take 120 s; then it is
// Stalled until it is Ready after all. Reconciling itself holds the start of that time, so it survives a restart of the controller.
// Neighbours: conditions.ts (all other conditions), rollout.ts, status.ts (calls it).
import type { Condition, PortForwardStatus } from '../../contract/api/status.ts';
import { type ConditionVerdict, disconnectedBecause, type Observation, scaledToZeroReason } from './conditions.ts';
import { isApiServerError, isPermanent, type Problem, withRemedy } from './problem.ts';
import { rollout } from './rollout.ts';

/** How long a tunnel may take until it is Ready for the first time. */
const settlingMs = 120_000;

/** Reason used only while waiting for Ready; other Reconciling reasons do not time out. */
const settlingReason = 'Progressing';

const timedOutReason = 'TimedOut';

interface Outcome {
  /** Reconciling=True, Stalled=True, or neither. */
  readonly verdict: (ConditionVerdict & { readonly type: 'Reconciling' | 'Stalled' }) | undefined;
  /** When time alone will change the verdict, in milliseconds. */
  readonly changesInMs: number | undefined;
}

export interface Kstatus extends Outcome {
  /** The 120 s start now: the time of an earlier Reconciling no longer counts. */
  readonly startsAnew: boolean;
}

/** What the last status says; the first that applies. */
type Was =
  /** Nothing of this document, or that it was held up or scaled to zero, and it no longer is. */
  | 'new'
  | 'timedOut'
  /** Stalled for a reason of its own: the 120 s of what comes after it have not begun. */
  | 'stalled'
  /** Reconciling, and waiting for Ready. */
  | 'settling'
  | 'settled';

/** What is true now; the first that applies. */
type Is =
  /** Something other than the tunnel keeps the document from being acted on. */
  | 'held'
  | 'scaledToZero'
  /** Not ready for a reason that only a person can remove. */
  | 'failed'
  /** Pods are being replaced while others carry. */
  | 'rollingOut'
  | 'ready'
  /** Pods are being replaced and none is ready. */
  | 'replacing'
  | 'down';

interface Facts {
  readonly observation: Observation;
  readonly readyNow: ConditionVerdict;
  /** How long the tunnel has been settling. */
  readonly waitedMs: number;
}

type Rule = (facts: Facts) => Outcome;

const always = (rule: Rule): Readonly<Record<Was, Rule>> => ({
  new: rule,
  timedOut: rule,
  stalled: rule,
  settling: rule,
  settled: rule,
});

const table: Readonly<Record<Is, Readonly<Record<Was, Rule>>>> = {
  held: always(heldUp),
  scaledToZero: always(writing),
  failed: always(({ readyNow }) => stalled(readyNow)),
  rollingOut: always(rollingOut),
  ready: always(writing),
  replacing: { new: settling, timedOut, stalled: settling, settling, settled: settling },
  // A tunnel that was ready once tries again by itself, for as long as it takes.
  down: { new: settling, timedOut, stalled: settling, settling, settled: writing },
};

export function kstatus(
  observation: Observation,
  readyNow: ConditionVerdict,
  generation: number,
  previous: PortForwardStatus | undefined,
  now: Date,
): Kstatus {
  const was = stateBefore(observation, generation, previous);
  const restarts = was === 'new' || (isTrue(previous, 'Ready') && readyNow.status !== 'True');
  const since = was === 'settling' && !restarts ? condition(previous, 'Reconciling')?.lastTransitionTime : undefined;
  const waitedMs = since === undefined ? 0 : Math.max(0, now.getTime() - Date.parse(since));
  const outcome = kstatusVerdict(was, { observation, readyNow, waitedMs });
  // Until now it may have been Reconciling for another reason, whose time does not count.
  const begins = was !== 'settling' && outcome.verdict?.reason === settlingReason;
  return { ...outcome, startsAnew: restarts || begins };
}

const kstatusVerdict = (was: Was, facts: Facts): Outcome => table[stateNow(facts)][was](facts);

function stateNow({ observation, readyNow }: Facts): Is {
  if (heldBy(observation) !== undefined) return 'held';
  if (scaledToZeroReason(observation) !== undefined) return 'scaledToZero';
  if (isPermanent(readyNow)) return 'failed';
  const isRolling = rollout(observation.deployment) !== undefined;
  if (isRolling && observation.tunnels.some(({ ready }) => ready)) return 'rollingOut';
  if (readyNow.status === 'True') return 'ready';
  return isRolling ? 'replacing' : 'down';
}

function stateBefore(observation: Observation, generation: number, previous: PortForwardStatus | undefined): Was {
  const ready = condition(previous, 'Ready');
  if (previous?.observedGeneration !== generation || ready === undefined) return 'new';
  const acted = ['Accepted', 'Programmed'].map((type) => condition(previous, type));
  const wasHeld = acted.some((each) => each?.status === 'False' && !isApiServerError(each));
  if (wasHeld && heldBy(observation) === undefined) return 'new';
  const wasScaledToZero = ready.reason === 'Suspended' || ready.reason === 'ScaledToZero';
  if (wasScaledToZero && scaledToZeroReason(observation) === undefined) return 'new';
  const stalledBefore = condition(previous, 'Stalled');
  if (stalledBefore?.status === 'True') return stalledBefore.reason === timedOutReason ? 'timedOut' : 'stalled';
  return condition(previous, 'Reconciling')?.reason === settlingReason ? 'settling' : 'settled';
}

/** What keeps the document from being acted on, other than the tunnel itself. */
const heldBy = ({ refusal, obstacle }: Observation): Problem | undefined =>
  refusal ?? (obstacle === undefined || isApiServerError(obstacle) ? undefined : obstacle);

function heldUp({ observation }: Facts): Outcome {
  const problem = heldBy(observation);
  if (problem === undefined) return writing({ observation });
  return isPermanent(problem) ? stalled(problem) : reconciling(withRemedy(problem).message);
}

/** Nothing to report, unless an object cannot be written at the moment. */
function writing({ observation: { obstacle } }: Pick<Facts, 'observation'>): Outcome {
  if (obstacle === undefined) return { verdict: undefined, changesInMs: undefined };
  return reconciling(withRemedy(obstacle).message, undefined, obstacle.reason);
}

/** Replacing many pods one by one takes as long as it takes; Kubernetes reports when it gets no further. */
function rollingOut({ observation }: Facts): Outcome {
  const rolling = rollout(observation.deployment);
  return rolling?.stuck === false ? reconciling(rolling.message) : stalled(stuckBecause(observation));
}

function settling(facts: Facts): Outcome {
  const { readyNow, waitedMs } = facts;
  return waitedMs >= settlingMs ? timedOut(facts) : reconciling(readyNow.message, settlingMs - waitedMs);
}

function timedOut({ readyNow }: Pick<Facts, 'readyNow'>): Outcome {
  return stalled({ reason: timedOutReason, message: `Not ready within ${settlingMs / 1000} s: ${readyNow.message}` });
}

const stalled = ({ reason, message }: Problem): Outcome => ({
  verdict: { type: 'Stalled', status: 'True', ...withRemedy({ reason, message }) },
  changesInMs: undefined,
});

const reconciling = (message: string, changesInMs?: number, reason: string = settlingReason): Outcome => ({
  verdict: { type: 'Reconciling', status: 'True', reason, message },
  changesInMs,
});

function stuckBecause(observation: Observation): Problem {
  const { reason, message } = disconnectedBecause(observation);
  const text = `The pods of the present document do not become ready, so older ones carry on: ${message}`;
  return { reason: reason === 'PodStarting' || reason === 'NotConnected' ? timedOutReason : reason, message: text };
}

const condition = (status: PortForwardStatus | undefined, type: string): Condition | undefined =>
  status?.conditions?.find((each) => each.type === type);

const isTrue = (status: PortForwardStatus | undefined, type: string): boolean =>
  condition(status, type)?.status === 'True';
