// What `kubectl portforward status` tells of one tunnel, computed from the stored PortForward alone. Pure.
// Neighbours: status.ts (reads and prints), client-counts.ts (adds the clients), contract/api/status.ts (the source).
import { type PortSpec, portName } from '../../contract/api/ports.ts';
import type { Condition, PortForwardStatus } from '../../contract/api/status.ts';
import { defined } from '../../contract/defined.ts';

/** What is read of a stored PortForward. Its operator may be newer, so nothing is taken for granted. */
export interface StoredTunnel {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly creationTimestamp?: string };
  readonly spec?: { readonly ports?: readonly PortSpec[] };
  readonly status?: Partial<PortForwardStatus>;
}

type State = 'Ready' | 'Idle' | 'Suspended' | 'Unreachable' | 'Down' | 'Starting' | 'Refused' | 'Unknown';

export interface PortState {
  readonly port: number;
  readonly name: string;
  readonly state: State;
  readonly since?: string;
  readonly reason?: string;
  /** What is wrong and what to do. */
  readonly message?: string;
  /** Open connections of all pods. Absent: not asked, or nobody could be asked. */
  readonly clients?: number;
}

/** One tunnel; also the form of `--output json`. */
export interface TunnelState {
  readonly namespace: string;
  readonly name: string;
  readonly ready: Condition['status'];
  /** Ready pods of the wanted ones, as in 1/2. */
  readonly pods?: string;
  readonly address?: string;
  readonly via?: string;
  readonly ports: readonly PortState[];
  /** What is wrong or about to be, and what to do; none if all is well. */
  readonly notes: readonly string[];
  readonly routes: NonNullable<PortForwardStatus['routes']>;
  readonly tunnels: NonNullable<PortForwardStatus['tunnels']>;
}

export function tunnelStateOf({ metadata, spec, status = {} }: StoredTunnel): TunnelState {
  const conditions = new Map((status.conditions ?? []).map((condition) => [condition.type, condition]));
  const ready = conditions.get('Ready');
  const { readyPods, address, via, routes = [], tunnels = [] } = status;
  const ports = (spec?.ports ?? []).map((port) => portStateOf(port, status, conditions, metadata.creationTimestamp));
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    ready: ready?.status ?? 'Unknown',
    ...defined({ pods: readyPods, address, via: via === '' ? undefined : via }),
    ports,
    notes: notesOf(conditions, ports, routes),
    routes,
    tunnels,
  };
}

type Conditions = ReadonlyMap<Condition['type'], Condition>;

function portStateOf(
  port: PortSpec,
  status: Partial<PortForwardStatus>,
  conditions: Conditions,
  created: string | undefined,
): PortState {
  const name = portName(port);
  const observed = status.ports?.find((each) => each.name === name);
  const { state, because } = judged(conditions, observed?.reachable);
  const { reason, message, lastTransitionTime } = because ?? {};
  const wrong = !['Ready', 'Idle'].includes(state);
  return {
    port: port.port,
    name,
    state,
    ...defined({
      since: unset.includes(lastTransitionTime) ? created : lastTransitionTime,
      reason: wrong ? reason : undefined,
      message: wrong ? ((state === 'Unreachable' ? observed?.message : undefined) ?? message) : undefined,
    }),
  };
}

/** The CRD's default condition has this time, until an operator has looked at the document. */
const unset: readonly (string | undefined)[] = [undefined, new Date(0).toISOString().replace('.000', '')];

interface Judgement {
  readonly state: State;
  /** The condition that says why, and since when. */
  readonly because: Condition | undefined;
}

const restReasons = ['Suspended', 'ScaledToZero'];

function judged(conditions: Conditions, reachable: boolean | undefined): Judgement {
  const [ready, accepted, connected] = (['Ready', 'Accepted', 'Connected'] as const).map((type) =>
    conditions.get(type),
  );
  if (ready === undefined) return { state: 'Unknown', because: undefined };
  if (accepted?.status === 'False') return { state: 'Refused', because: accepted };
  if (restReasons.includes(ready.reason)) return { state: 'Suspended', because: ready };
  if (ready.reason === 'Idle') return { state: 'Idle', because: ready };
  if (ready.status === 'True') return { state: 'Ready', because: ready };
  const destination = conditions.get('DestinationReachable');
  if (connected?.status === 'True' && reachable === false) return { state: 'Unreachable', because: destination };
  if (connected?.status === 'True' && reachable === true && ready.reason === destination?.reason)
    // Another port of the same tunnel has the trouble.
    return { state: 'Ready', because: connected };
  if (ready.status === 'Unknown' || ready.reason === 'Progressing') {
    return { state: conditions.get('Reconciling')?.status === 'True' ? 'Starting' : 'Unknown', because: ready };
  }
  return { state: 'Down', because: ready };
}

/** Beside the ports: what is lost before anybody notices. */
function notesOf(
  conditions: Conditions,
  ports: readonly PortState[],
  routes: TunnelState['routes'],
): readonly string[] {
  const wrong = new Set(
    ports.flatMap(({ state, reason = '', message = '' }) =>
      message === '' ? [] : [`${state === reason ? state : `${state}, ${reason}`}: ${message}`],
    ),
  );
  const notes = [...wrong];
  // A message about one pod begins with its name.
  const told = (message: string): boolean =>
    message === '' || notes.some((note) => note.includes(message.replace(/^pf-[a-z0-9-]+: /, '')));
  const current = conditions.get('CredentialsCurrent');
  if (current?.status === 'False' && !told(current.message)) {
    notes.push(`CredentialsCurrent is False, ${current.reason}: ${current.message}`);
  }
  for (const { via, state, message = '' } of routes) {
    if (state === 'Failed' && !told(message)) notes.push(`${via} would not help: ${message}`);
  }
  const stalled = conditions.get('Stalled');
  if (stalled?.status === 'True' && !told(stalled.message))
    notes.push(`Stalled, ${stalled.reason}: ${stalled.message}`);
  return notes;
}
