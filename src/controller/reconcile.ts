// One reconcile pass: read caches, compute the desired objects, apply them, report status. The file to read first.
// Level-based: takes only a key and writes nothing if nothing differs, so it may run at any time.
// Neighbours: base/portforward.ts (validates), children/ (desired objects), ensure-children.ts (applies them), status/ (conditions).
import { effectivePorts } from '../contract/api/effective.ts';
import { TunnelError } from '../contract/errors.ts';
import { destinationText } from '../contract/tunnel-config.ts';
import { type Clock, systemClock } from '../process/clock.ts';
import { classNameOf, type StoredPortForward, type ValidPortForward, validPortForward } from './base/portforward.ts';
import type { TunnelSettings } from './base/settings.ts';
import { templateOf } from './children/deployment.ts';
import { withFormerPorts } from './children/former-ports.ts';
import { type Children, desiredChildren } from './children/index.ts';
import { childName } from './children/names.ts';
import { type EnsureChildren, type EnsureResult, hasBeenProgrammed } from './ensure-children.ts';
import { keyOf, nameOf, type ObjectKey } from './kube/base/object.ts';
import type { Pod } from './kube/base/resources.ts';
import type { Reconcile, ReconcileContext, ReconcileResult } from './kube/workqueue/controller.ts';
import type { OtherInstall } from './other-install.ts';
import type { RefusalRetry } from './refusal-retry.ts';
import type { Observation } from './status/conditions.ts';
import { isReady, isRunning, type ObservedTunnel, observeTunnel } from './status/observed-tunnel.ts';
import { refusedPods } from './status/pod-problems.ts';
import { computeStatus, isUnseen, wasReady } from './status/status.ts';
import type { StatuszReader } from './status/statusz-reader.ts';
import type { StatusWriter } from './status-writer.ts';

export interface ReconcileDependencies {
  readonly settings: { readonly className: string; readonly tunnel: TunnelSettings };
  readonly portForwards: { get(key: ObjectKey): StoredPortForward | undefined };
  /** The pods of one PortForward, in whatever state. */
  readonly podsOf: (key: ObjectKey) => readonly Pod[];
  readonly children: EnsureChildren;
  readonly reader: Pick<StatuszReader, 'reading' | 'isAwaited'>;
  readonly statusWriter: StatusWriter;
  readonly refusals: RefusalRetry;
  readonly otherInstall: Pick<OtherInstall, 'keeps'>;
  /** Called for a PortForward that is gone. */
  readonly forget: (key: ObjectKey, deployment: ObjectKey) => void;
  readonly clock?: Clock;
}

export function reconciler(dependencies: ReconcileDependencies): Reconcile {
  const { settings, portForwards, podsOf, children, reader, statusWriter, refusals, forget } = dependencies;
  const { otherInstall, clock = systemClock } = dependencies;
  return async (key: ObjectKey, context: ReconcileContext): Promise<ReconcileResult> => {
    const deploymentKey = keyOf({ ...nameOf(key), name: childName({ metadata: nameOf(key) }) });
    const stored = portForwards.get(key);
    if (stored === undefined) {
      // The children go with it by their owner references.
      forget(key, deploymentKey);
      return {};
    }
    // Recreating children would delay the deletion.
    if (stored.metadata.deletionTimestamp !== undefined) return {};
    if (classNameOf(stored) !== settings.className) return {};

    if (otherInstall.keeps(stored)) return {};

    const pods = podsOf(key);
    const anyPodReady = pods.some(isReady);
    const wanted = desired(stored, settings.tunnel, anyPodReady);
    const ensured =
      'refusal' in wanted
        ? nothingEnsured
        : await children.ensure(keepFormerPorts(wanted, stored, pods, children), stored, context.signal);

    const deployment = children.deployment(deploymentKey);
    const tunnels = observe(pods, deployment === undefined ? undefined : templateOf(deployment), reader);
    const observation: Observation = {
      portForward: wanted.portForward,
      refusal: 'refusal' in wanted ? wanted.refusal : undefined,
      obstacle: ensured.obstacle,
      deployment,
      tunnels,
    };
    statusWriter.recordPass(stored, ensured);
    // Conflict with another writer: retry at once, the next pass will know what to report.
    if (ensured.failure !== undefined && ensured.obstacle === undefined) throw ensured.failure;
    const written =
      isUnwritten(stored, ensured) || mustKeepStatus(stored, pods, reader)
        ? undefined
        : await statusWriter.write(stored, computeStatus(stored, observation, clock.date()), context.signal);
    if ('refusal' in wanted) await children.publishNotReady(!anyPodReady, stored, context.signal);
    const retryInMs = await refusals.retry(deployment, refusedPods(deployment) !== undefined, context);
    const again = requeue(ensured.againInMs, written?.againInMs, retryInMs);
    return ensured.failure === undefined ? again : { ...again, failure: ensured.failure };
  };
}

interface Accepted {
  readonly portForward: ValidPortForward;
  readonly children: Children;
}

type Wanted =
  | Accepted
  | { readonly portForward: ValidPortForward | undefined; readonly refusal: { reason: string; message: string } };

const nothingEnsured: EnsureResult = {
  obstacle: undefined,
  failure: undefined,
  againInMs: undefined,
  repaired: [],
  queued: undefined,
  heldBack: false,
};

function desired(stored: StoredPortForward, settings: TunnelSettings, anyPodReady: boolean): Wanted {
  let portForward: ValidPortForward | undefined;
  try {
    portForward = validPortForward(stored);
    return { portForward, children: desiredChildren(portForward, settings, anyPodReady) };
  } catch (error) {
    if (!(error instanceof TunnelError)) throw error;
    return { portForward, refusal: { reason: error.code, message: error.message } };
  }
}

/** While only pods of an earlier template are ready, the ports that they serve stay. */
function keepFormerPorts(
  { portForward, children: wanted }: Accepted,
  { status, metadata }: StoredPortForward,
  pods: readonly Pod[],
  children: Pick<EnsureChildren, 'service'>,
): Children {
  const template = templateOf(wanted.deployment);
  const readyPods = pods.filter(isReady);
  if (readyPods.length === 0 || readyPods.some((pod) => templateOf(pod) === template)) return wanted;
  const destinations = new Map(
    effectivePorts(portForward.spec).map(({ name, destination }) => [name, destinationText(destination)]),
  );
  const live = children.service(keyOf(wanted.service.metadata));
  const mayKeep = (name: string): boolean =>
    status?.ports?.some((port) => port.name === name && port.destination === destinations.get(name)) === true;
  return withFormerPorts(wanted, live, mayKeep, status?.observedGeneration !== metadata.generation);
}

/** The tunnels that count: not those of pods being deleted, and those of ended pods only while there is no other. */
function observe(
  pods: readonly Pod[],
  template: string | undefined,
  reader: Pick<StatuszReader, 'reading'>,
): ObservedTunnel[] {
  const staying = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const running = staying.filter(({ status }) => status?.phase !== 'Failed' && status?.phase !== 'Succeeded');
  return (running.length > 0 ? running : staying)
    .map((pod) => observeTunnel(pod, reader.reading(pod), template))
    .toSorted((a, b) => (a.pod < b.pod ? -1 : 1));
}

/** True while only an upgrade of the operator keeps the objects of this document from being written: the status is told when they are. */
function isUnwritten(stored: StoredPortForward, { heldBack, obstacle }: EnsureResult): boolean {
  return heldBack && obstacle === undefined && !hasBeenProgrammed(stored);
}

/**
 * True while the pods in the last status have not been read again (after a restart or a rollout): keep the old status instead of
 * Unknown. Also after an edit, which may meet a change of the leader: the pods answer within seconds. Also before the first status, if
 * every pod that is ready is about to be read.
 */
function mustKeepStatus(
  stored: StoredPortForward,
  pods: readonly Pod[],
  reader: Pick<StatuszReader, 'reading' | 'isAwaited'>,
): boolean {
  const { status } = stored;
  const reported = new Set(status?.tunnels?.map(({ pod }) => pod));
  const isUnread = pods.some((pod) => {
    if (!reported.has(pod.metadata.name) || !isRunning(pod)) return false;
    const reading = reader.reading(pod);
    return reading?.status === undefined && reading?.unreadable === undefined;
  });
  const ready = pods.filter((pod) => isReady(pod) && isRunning(pod));
  return (
    isUnread ||
    ((wasReady(stored) || isUnseen(status)) && ready.length > 0 && ready.every((pod) => reader.isAwaited(pod)))
  );
}

function requeue(...delays: readonly (number | undefined)[]): ReconcileResult {
  const due = delays.filter((delay) => delay !== undefined);
  return due.length === 0 ? {} : { requeueAfterMs: Math.min(...due) };
}
