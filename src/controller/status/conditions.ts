// What is true of a PortForward now: its conditions, from the document, the objects written for it and its tunnels. Pure; the rules are
// those of docs/status.md, the order is that of the walk: accepted, programmed, connected, reachable, ready, and for kstatus reconciling
// or stalled.
// Neighbours: observed-tunnel.ts and pod-problems.ts (what is seen), kstatus.ts (the last two), status.ts (the whole status).
import type { ConditionType } from '../../contract/api/condition.ts';
import { type EffectivePort, effectivePorts } from '../../contract/api/effective.ts';
import { destinationText } from '../../contract/tunnel-config.ts';
import type { ValidPortForward } from '../base/portforward.ts';
import { wantedReplicas } from '../children/deployment.ts';
import type { Deployment } from '../kube/base/resources.ts';
import { fullPorts, type ObservedTunnel, reasonWord } from './observed-tunnel.ts';
import { refusedPods } from './pod-problems.ts';
import { isApiServerError, isPermanent, type Problem, withRemedy } from './problem.ts';
import { cleanText } from './statusz-answer.ts';

/** A condition without its times and generation. */
export interface ConditionVerdict {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** All that the conditions are computed from. */
export interface Observation {
  /** undefined: the stored object does not pass the schema. */
  readonly portForward: ValidPortForward | undefined;
  /** Why the document is not acted on, if so. */
  readonly refusal: Problem | undefined;
  /** Why not all of its objects could be written, if so. */
  readonly obstacle: Problem | undefined;
  readonly deployment: Deployment | undefined;
  readonly tunnels: readonly ObservedTunnel[];
}

type Type<Name extends ConditionType> = ConditionVerdict & { readonly type: Name };

export const accepted = ({ refusal }: Observation): Type<'Accepted'> =>
  refusal === undefined
    ? { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The document is valid.' }
    : { type: 'Accepted', status: 'False', ...withRemedy(refusal) };

export function programmed({ refusal, obstacle }: Observation): Type<'Programmed'> {
  if (refusal !== undefined) {
    return {
      type: 'Programmed',
      status: 'False',
      reason: refusal.reason,
      message: 'Nothing is written while the document is not accepted; what runs is left as it is.',
    };
  }
  if (obstacle !== undefined) return { type: 'Programmed', status: 'False', ...withRemedy(obstacle) };
  return {
    type: 'Programmed',
    status: 'True',
    reason: 'Programmed',
    message: 'All objects of the tunnel are written.',
  };
}

/** Why there should be no pods at all; undefined if there should be some. */
export function scaledToZeroReason({ portForward }: Observation): Problem | undefined {
  if (portForward === undefined || wantedReplicas(portForward) > 0) return undefined;
  return portForward.spec.suspend
    ? { reason: 'Suspended', message: 'spec.suspend is true: no pods run, the Service is kept.' }
    : { reason: 'ScaledToZero', message: 'spec.replicas is 0: no pods run, the Service is kept.' };
}

/**
 * The one reason why no pod is ready. Only pods of the present template count: what an older one reports may be fixed already. A
 * permanent problem wins over one on the way to the bastion, and both over "it is starting".
 */
export function disconnectedBecause({ deployment, tunnels }: Observation): Problem {
  const current = tunnels.filter((tunnel) => tunnel.current);
  const refused = refusedPods(deployment);
  const causes = [...current.flatMap(({ cause }) => cause ?? []), ...(refused === undefined ? [] : [refused])];
  const rank = (problem: Problem): number => {
    if (isPermanent(problem)) return 0;
    if (problem.reason === 'PodStarting') return 4;
    return problem.reason === 'NotConnected' ? 3 : 1;
  };
  // sort is stable, and the tunnels come sorted by name: equal problems do not take turns.
  const [first] = causes.toSorted((a, b) => rank(a) - rank(b));
  return first ?? { reason: 'PodStarting', message: 'The tunnel’s pods are being created.' };
}

export function connected(observation: Observation): Type<'Connected'> {
  const type = 'Connected';
  const rest = scaledToZeroReason(observation);
  if (rest !== undefined) return { type, status: 'False', ...rest };
  const { tunnels } = observation;
  const ready = tunnels.filter((tunnel) => tunnel.ready);
  if (ready.length === 0) return { type, status: 'False', ...withRemedy(disconnectedBecause(observation)) };
  const count = countOf(ready.length, wanted(observation, tunnels.length));
  const unreadable = unreadableOf(ready);
  if (unreadable !== undefined) {
    return {
      type,
      status: 'True',
      ...withRemedy({ reason: 'StatusUnreadable', message: `${count}, but ${unreadable}` }),
    };
  }
  const others = tunnels.find((tunnel) => !tunnel.ready && tunnel.cause !== undefined && tunnel.cause.message !== '');
  const detail = others?.cause === undefined ? '' : ` ${others.pod}: ${others.cause.message}`;
  return { type, status: 'True', reason: 'Connected', message: `${count}${flyNetwork(observation)}.${detail}` };
}

/** Which private network a tunnel of fly.io has joined: its gateway, the route, does not say it. */
function flyNetwork({ portForward }: Observation): string {
  const { app, org, network = '' } = portForward?.spec.fly ?? {};
  if (app !== undefined) return ` in the network of fly.io app ${app}`;
  if (org === undefined) return '';
  return network === ''
    ? ` in the network of fly.io organization ${org}`
    : ` in network ${network} of fly.io organization ${org}`;
}

/** How many pods the document wants; without a valid document those that there are. */
const wanted = ({ portForward }: Observation, present: number): number =>
  portForward === undefined ? present : wantedReplicas(portForward);

/** Surplus pods carry for a moment after a document wants fewer. */
function countOf(isReady: number, isWanted: number): string {
  if (isReady > isWanted) return `${isReady} pods are ready, ${isWanted} wanted`;
  return `${isReady} of ${isWanted} ${isWanted === 1 ? 'pod is' : 'pods are'} ready`;
}

/** Why one of these pods cannot be read; what it carries is then unknown, whatever the others say. */
const unreadableOf = (tunnels: readonly ObservedTunnel[]): string | undefined =>
  tunnels.find(({ unreadable }) => unreadable !== undefined)?.unreadable;

interface Reachability {
  readonly reachable: boolean | undefined;
  readonly problem: Problem | undefined;
  /** Another destination to which a pod of an earlier document still carries; its result says nothing about the present one. */
  readonly elsewhere: string | undefined;
}

/** What is known about one port’s destination from all pods that may speak for it. */
export function reachabilityOf(
  { name, destination }: Pick<EffectivePort, 'name' | 'destination'>,
  tunnels: readonly ObservedTunnel[],
): Reachability {
  const there = cleanText(destinationText(destination));
  const said = speakers(tunnels).flatMap(({ status }) => status?.ports.filter((port) => port.name === name) ?? []);
  const elsewhere = said.find((port) => (port.destination ?? there) !== there)?.destination;
  const results = said.filter((port) => (port.destination ?? there) === there);
  const failed = results.find(({ reachable }) => reachable === false);
  if (failed !== undefined) {
    const reason = reasonWord(failed.reason ?? 'DestinationUnreachable');
    const problem = { reason, message: failed.message ?? 'the destination is not reachable' };
    return { reachable: false, problem, elsewhere };
  }
  const reachable = results.some((port) => port.reachable === true) ? true : undefined;
  return { reachable, problem: undefined, elsewhere };
}

/** The ready pods; if none is ready, those with a session (readinessPolicy Destination can keep these unready). */
function speakers(tunnels: readonly ObservedTunnel[]): readonly ObservedTunnel[] {
  const ready = tunnels.filter((tunnel) => tunnel.ready);
  return ready.length > 0 ? ready : tunnels.filter(({ status }) => status?.state === 'Connected');
}

export function destinationReachable(observation: Observation): Type<'DestinationReachable'> {
  const type = 'DestinationReachable';
  const unknown = (problem: Problem) => ({ type, status: 'Unknown', ...problem }) as const;
  const { portForward, tunnels } = observation;
  const rest = scaledToZeroReason(observation);
  if (rest !== undefined) return unknown(rest);
  if (portForward === undefined) return unknown({ reason: 'NoResultYet', message: 'The document is not valid.' });
  const ports = effectivePorts(portForward.spec).map((port) => ({ name: port.name, ...reachabilityOf(port, tunnels) }));
  const moving = ports.find(({ elsewhere }) => elsewhere !== undefined);
  const former = moving && {
    reason: 'NoResultYet',
    message: `${moving.name}: pods still carry to the former ${moving.elsewhere}.`,
  };
  if (portForward.spec.healthCheck.destination === 'Off') {
    return unknown(former ?? { reason: 'NotChecked', message: 'spec.healthCheck.destination is Off.' });
  }
  const speaking = speakers(tunnels);
  if (speaking.length === 0) {
    const { reason } = disconnectedBecause(observation);
    return unknown({ reason, message: 'Not known while no pod is connected.' });
  }
  const failed = ports.filter(({ reachable }) => reachable === false);
  if (failed[0]?.problem !== undefined) {
    const message = failed.map(({ name, problem }) => `${name}: ${problem?.message}`).join('; ');
    return {
      type,
      status: 'False',
      ...withRemedy({ reason: failed[0].problem.reason, message: message.slice(0, 2048) }),
    };
  }
  const unreadable = unreadableOf(speaking);
  if (unreadable !== undefined) return unknown(withRemedy({ reason: 'StatusUnreadable', message: unreadable }));
  if (former !== undefined) return unknown(former);
  if (ports.every(({ reachable }) => reachable === true)) {
    return { type, status: 'True', reason: 'Reachable', message: 'Every destination answered last.' };
  }
  if (portForward.spec.connection.mode === 'OnDemand') {
    return unknown({ reason: 'Idle', message: 'No client is connected; the tunnel opens with the first one.' });
  }
  return unknown({ reason: 'NoResultYet', message: 'The destinations have not been probed or dialled yet.' });
}

/** Why a port refuses clients on every Ready pod; undefined while one of them takes more. */
function fullEverywhere(tunnels: readonly ObservedTunnel[]): Problem | undefined {
  const readyPods = tunnels.filter((tunnel) => tunnel.ready);
  const full = readyPods.map(({ status }) => new Set(fullPorts(status).map(({ name }) => name)));
  const [first, ...others] = full;
  const names = [...(first ?? [])].filter((name) => others.every((each) => each.has(name)));
  if (names.length === 0) return undefined;
  const pods = readyPods.length === 1 ? 'The one ready pod' : `Each of the ${readyPods.length} ready pods`;
  const message = `${pods} refuses clients of ${names.join(', ')}: it carries all connections that the port may have.`;
  return { reason: 'ConnectionLimit', message };
}

/** Ready repeats the first condition that keeps clients from being carried. `wasWritten`: all objects of this generation were written once. */
export function ready(
  { refusal, obstacle, tunnels }: Observation,
  connectedNow: Type<'Connected'>,
  reachableNow: Type<'DestinationReachable'>,
  wasWritten: boolean,
): Type<'Ready'> {
  const type = 'Ready';
  // Once all objects exist, a failing rewrite does not make a working tunnel unready.
  const carriesOn = obstacle !== undefined && isApiServerError(obstacle) && wasWritten;
  for (const problem of [refusal, carriesOn ? undefined : obstacle]) {
    if (problem !== undefined) return { type, status: 'False', ...withRemedy(problem) };
  }
  if (connectedNow.reason === 'StatusUnreadable' && reachableNow.status !== 'False')
    return { ...connectedNow, type, status: 'Unknown' };
  if (connectedNow.status !== 'True') return { ...connectedNow, type };
  const full = fullEverywhere(tunnels);
  if (full !== undefined) return { type, status: 'False', ...withRemedy(full) };
  const { status, reason, message } = reachableNow;
  if (reason === 'Idle') return { type, status: 'True', reason, message };
  if (status === 'True' || reason === 'NotChecked') {
    return { type, status: 'True', reason: 'Ready', message: `${connectedNow.message}` };
  }
  return { ...reachableNow, type };
}
