// The whole status of a PortForward, computed anew in every pass; what is written is always complete, because a field that is not sent
// is removed. It holds nothing that changes by itself: no time of a last check, no counter, no pod address. Pure.
// Neighbours: conditions.ts, kstatus.ts, observed-tunnel.ts; ../status-writer.ts writes it when it differs.
import { type ConditionType, conditionTypes, unseenGeneration } from '../../contract/api/condition.ts';
import { driverOf, effectivePorts } from '../../contract/api/effective.ts';
import type { PortForwardPortStatus, PortForwardStatus } from '../../contract/api/status.ts';
import { defined } from '../../contract/defined.ts';
import { destinationText } from '../../contract/tunnel-config.ts';
import type { StoredPortForward, ValidPortForward } from '../base/portforward.ts';
import { wantedReplicas } from '../children/deployment.ts';
import { selectorText, serviceName } from '../children/names.ts';
import { mergeConditions } from '../kube/base/conditions.ts';
import {
  accepted,
  connected,
  destinationReachable,
  type Observation,
  programmed,
  reachabilityOf,
  ready,
} from './conditions.ts';
import { credentialsCurrent } from './credentials.ts';
import { kstatus } from './kstatus.ts';
import { tunnelEntry } from './observed-tunnel.ts';
import { isApiServerError } from './problem.ts';
import { observedRoutes } from './routes.ts';

export interface ComputedStatus {
  readonly status: PortForwardStatus;
  /** When time alone will change it. */
  readonly changesInMs: number | undefined;
  readonly causes: StatusCauses;
}

/** The codes behind the messages of pods and bastions: the status has no field for them, an Event has one. */
export interface StatusCauses {
  readonly pods: ReadonlyMap<string, string>;
  readonly routes: ReadonlyMap<string, string>;
}

/** The schema’s limit for the message of a condition. */
const maxMessage = 4096;

/** `stored` must hold the latest status that we wrote ourselves, or times would jump back. */
export function computeStatus(stored: StoredPortForward, observation: Observation, now: Date): ComputedStatus {
  const previous = isUnseen(stored.status) ? undefined : stored.status;
  const generation = stored.metadata.generation ?? 0;
  const connectedNow = connected(observation);
  const reachableNow = destinationReachable(observation);
  const readyNow = ready(observation, connectedNow, reachableNow, wasWritten(stored));
  const { verdict, changesInMs, startsAnew } = kstatus(observation, readyNow, generation, previous, now);
  const credentials = credentialsCurrent(observation);
  const verdicts = [
    accepted(observation),
    programmed(observation),
    connectedNow,
    reachableNow,
    ...(credentials === undefined ? [] : [credentials]),
    readyNow,
  ];
  const routes = observedRoutes(observation.tunnels, previous?.routes);
  const before = (previous?.conditions ?? []).filter(({ type }) => !(startsAnew && type === 'Reconciling'));
  const conditions = mergeConditions(
    before.map((each) => ({ ...each, observedGeneration: each.observedGeneration ?? 0 })),
    [...verdicts, ...(verdict === undefined ? [] : [verdict])].map((each) => ({
      ...each,
      message: each.message.slice(0, maxMessage),
      observedGeneration: generation,
    })),
    now,
  );
  const status: PortForwardStatus = {
    observedGeneration: generation,
    conditions: conditions.map((each) => ({ ...each, type: conditionType(each.type) })),
    ...(observation.portForward === undefined
      ? lastAddresses(previous)
      : describe(observation.portForward, observation)),
    ...pods(observation, previous),
    ...defined({ routes: routes.length === 0 ? undefined : routes.map(({ entry }) => entry) }),
  };
  const causes = {
    pods: new Map(observation.tunnels.flatMap(({ pod, cause }) => (cause === undefined ? [] : [[pod, cause.reason]]))),
    routes: new Map(routes.flatMap(({ entry, reason }) => (reason === undefined ? [] : [[entry.via, reason]]))),
  };
  return { status, changesInMs, causes };
}

/** True if no operator has written it: it is the CRD's default, or not there. */
export const isUnseen = (status: PortForwardStatus | undefined): boolean =>
  (status?.observedGeneration ?? unseenGeneration) === unseenGeneration;

/** True if the last status is of this generation and says Ready. */
export function wasReady({ status, metadata }: StoredPortForward): boolean {
  if (status?.observedGeneration !== metadata.generation) return false;
  return status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false;
}

/** True if all objects of this generation were written at least once, even if one cannot be rewritten now. */
function wasWritten({ status, metadata }: StoredPortForward): boolean {
  if (status?.observedGeneration !== metadata.generation) return false;
  const find = (type: ConditionType) => status?.conditions?.find((each) => each.type === type);
  const [programmedBefore, readyBefore] = [find('Programmed'), find('Ready')];
  if (programmedBefore === undefined || readyBefore === undefined) return false;
  return programmedBefore.status === 'True' || (isApiServerError(programmedBefore) && !isApiServerError(readyBefore));
}

/** Which addresses clients dial and which destinations these lead to. */
function describe(portForward: ValidPortForward, { tunnels }: Observation): PortForwardStatus {
  const address = `${serviceName(portForward)}.${portForward.metadata.namespace}.svc`;
  const ports = effectivePorts(portForward.spec).map(({ name, port, destination }): PortForwardPortStatus => {
    const { reachable, problem } = reachabilityOf({ name, destination }, tunnels);
    return defined({
      name,
      address: `${address}:${port}`,
      destination: destinationText(destination),
      reachable,
      message: problem?.message.slice(0, 1024),
    });
  });
  return {
    driver: driverOf(portForward.spec),
    address,
    ports,
    destinations: cut(ports.map(({ destination }) => destination).join(','), 1024),
    selector: selectorText(portForward),
  };
}

/** An invalid document keeps the addresses of its last valid generation. */
function lastAddresses(previous: PortForwardStatus | undefined): PortForwardStatus {
  const { driver, address, ports, destinations, selector } = previous ?? {};
  return defined({ driver, address, ports, destinations, selector });
}

function pods(
  { portForward, tunnels, deployment }: Observation,
  previous: PortForwardStatus | undefined,
): PortForwardStatus {
  const before = new Map(previous?.tunnels?.map((entry) => [entry.pod, entry]));
  const vias = new Set(tunnels.flatMap(({ ready: isReady, status }) => (isReady ? (status?.via ?? []) : [])));
  const readyReplicas = tunnels.filter((tunnel) => tunnel.ready).length;
  const wanted = portForward === undefined ? (deployment?.spec?.replicas ?? 0) : wantedReplicas(portForward);
  return defined({
    replicas: deployment?.status?.replicas ?? 0,
    readyReplicas,
    readyPods: `${readyReplicas}/${wanted}`,
    via: vias.size === 0 ? undefined : cut([...vias].toSorted().join(','), 1024),
    tunnels: tunnels.slice(0, 64).map((tunnel) => tunnelEntry(tunnel, before.get(tunnel.pod))),
  });
}

function conditionType(type: string): ConditionType {
  const known = conditionTypes.find((each) => each === type);
  if (known === undefined) throw new TypeError(`there is no condition ${type}`);
  return known;
}

const cut = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
