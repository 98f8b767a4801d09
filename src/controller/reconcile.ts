// One reconcile pass: read the caches, compute the desired objects, apply them, report the status. The file to read first.
// Level-based: it takes only a key and writes nothing if nothing differs, so it may run at any time.
// Neighbours: portforward.ts (valid or not), children/ (the desired objects), ensure-children.ts (applies them), status/ (reports).
import { TunnelError } from '../contract/errors.ts';
import { classNameOf, type StoredPortForward, type ValidPortForward, validPortForward } from './base/portforward.ts';
import type { TunnelSettings } from './base/settings.ts';
import { templateOf } from './children/deployment.ts';
import { desiredChildren } from './children/index.ts';
import { childName } from './children/names.ts';
import type { EnsureChildren, EnsureResult } from './ensure-children.ts';
import { keyOf, nameOf, type ObjectKey } from './kube/base/object.ts';
import type { Pod } from './kube/base/resources.ts';
import type { Reconcile, ReconcileContext, ReconcileResult } from './kube/workqueue/controller.ts';
import type { RefusalRetry } from './refusal-retry.ts';
import type { Observation } from './status/conditions.ts';
import { isReady, isRunning, type ObservedTunnel, observeTunnel } from './status/observed-tunnel.ts';
import { refusedPods } from './status/pod-problems.ts';
import { computeStatus, wasReady } from './status/status.ts';
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
  /** Called for a PortForward that is gone. */
  readonly forget: (key: ObjectKey, deployment: ObjectKey) => void;
}

export function reconciler(dependencies: ReconcileDependencies): Reconcile {
  const { settings, portForwards, podsOf, children, reader, statusWriter, refusals, forget } = dependencies;
  return async (key: ObjectKey, context: ReconcileContext): Promise<ReconcileResult> => {
    const deploymentKey = keyOf({ ...nameOf(key), name: childName({ metadata: nameOf(key) }) });
    const stored = portForwards.get(key);
    if (stored === undefined) {
      // The children go with it by their owner references.
      forget(key, deploymentKey);
      return {};
    }
    // Making children again would only hold the deletion up.
    if (stored.metadata.deletionTimestamp !== undefined) return {};
    if (classNameOf(stored) !== settings.className) return {};

    const pods = podsOf(key);
    const anyPodReady = pods.some(isReady);
    const wanted = desired(stored, settings.tunnel, anyPodReady);
    const ensured =
      'refusal' in wanted ? nothingEnsured : await children.ensure(wanted.children, stored, context.signal);

    const deployment = children.deployment(deploymentKey);
    const tunnels = observe(pods, deployment === undefined ? undefined : templateOf(deployment), reader);
    const observation: Observation = {
      portForward: wanted.portForward,
      refusal: 'refusal' in wanted ? wanted.refusal : undefined,
      obstacle: ensured.obstacle,
      deployment,
      tunnels,
    };
    statusWriter.tell(stored, ensured);
    // Somebody was faster: the next pass, at once, knows what there is to tell.
    if (ensured.failure !== undefined && ensured.obstacle === undefined) throw ensured.failure;
    const written = mustKeepStatus(stored, pods, reader)
      ? undefined
      : await statusWriter.write(stored, computeStatus(stored, observation, new Date()), context.signal);
    if ('refusal' in wanted) await children.publishNotReady(!anyPodReady, stored, context.signal);
    const retryInMs = await refusals.retry(deployment, refusedPods(deployment) !== undefined, context);
    const again = requeue(ensured.againInMs, written?.againInMs, retryInMs);
    return ensured.failure === undefined ? again : { ...again, failure: ensured.failure };
  };
}

type Wanted =
  | { readonly portForward: ValidPortForward; readonly children: ReturnType<typeof desiredChildren> }
  | { readonly portForward: ValidPortForward | undefined; readonly refusal: { reason: string; message: string } };

const nothingEnsured: EnsureResult = {
  obstacle: undefined,
  failure: undefined,
  againInMs: undefined,
  repaired: [],
  queued: undefined,
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

/** The tunnels that count: pods on their way out do not, and ended ones only while there is no other. */
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

/**
 * True after a restart of the controller, until each running pod that the present status speaks of has answered or proved unreadable,
 * and after a replacement of the ready pods, until one of the new ones is heard: what was known is kept, rather than everything being
 * called unknown for a moment.
 */
function mustKeepStatus(
  stored: StoredPortForward,
  pods: readonly Pod[],
  reader: Pick<StatuszReader, 'reading' | 'isAwaited'>,
): boolean {
  const { status, metadata } = stored;
  if (status?.observedGeneration !== metadata.generation) return false;
  const told = new Set(status?.tunnels?.map(({ pod }) => pod));
  const silent = pods.some((pod) => {
    if (!told.has(pod.metadata.name) || !isRunning(pod)) return false;
    const reading = reader.reading(pod);
    return reading?.status === undefined && reading?.unreadable === undefined;
  });
  const ready = pods.filter((pod) => isReady(pod) && isRunning(pod));
  return silent || (wasReady(stored) && ready.length > 0 && ready.every((pod) => reader.isAwaited(pod)));
}

function requeue(...delays: readonly (number | undefined)[]): ReconcileResult {
  const due = delays.filter((delay) => delay !== undefined);
  return due.length === 0 ? {} : { requeueAfterMs: Math.min(...due) };
}
