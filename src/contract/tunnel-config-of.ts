// PortForward → TunnelConfig: what the sidecar must do, computed from a valid document. The same function serves the controller (the
// config travels into a pod) and `portforward open` (it stays on this machine); only where files and ports are differs.
// Neighbours: api/effective.ts (computed defaults), tunnel-config.ts (the result), pod.ts (places in a pod), secrets.ts.
import { driverOf, effectivePorts } from './api/effective.ts';
import type { PortForward, PortForwardSpec } from './api/portforward.ts';
import type { BastionSpec } from './api/ssh.ts';
import { defined } from './defined.ts';
import { listenPorts, memoryDirectory, secretDirectory } from './pod.ts';
import type { DriverName, Hop, SsmConfig, TunnelConfig } from './tunnel-config.ts';

/** Where the tunnel runs: in which directory a Secret's files are, and on which port each Service port is listened for. */
export interface Placement {
  readonly directoryOf: (secretName: string) => string;
  readonly listenPortOf: (servicePort: number) => number;
  /** A folder in memory that outlives the process but not the pod; empty on a laptop, which keeps nothing. */
  readonly memoryDirectory: string;
}

/** The places of a tunnel pod. */
export function podPlacement(spec: Pick<PortForwardSpec, 'ports'>): Placement {
  const ports = listenPorts(spec.ports.map(({ port }) => port));
  return { directoryOf: secretDirectory, listenPortOf: (port) => ports.get(port) ?? port, memoryDirectory };
}

/**
 * The config of a valid PortForward. What the sidecar does not need is left out, and reordering the ports changes nothing, so the
 * texts of two configs differ only when a tunnel must start anew.
 */
export function tunnelConfigOf(
  { metadata, spec }: Pick<PortForward, 'metadata' | 'spec'>,
  placement: Placement = podPlacement(spec),
): TunnelConfig {
  const { mode, idleTimeoutSeconds, maxConnections, drainTimeoutSeconds } = spec.connection;
  const { intervalSeconds, timeoutSeconds, failureThreshold, readinessPolicy } = spec.healthCheck;
  return {
    version: 1,
    namespace: metadata.namespace ?? 'default',
    name: metadata.name ?? metadata.generateName ?? '',
    forwards: effectivePorts(spec)
      .map(({ name: portName, port, destination, appProtocol, health }) => ({
        name: portName,
        port,
        listenPort: placement.listenPortOf(port),
        destination,
        appProtocol,
        health,
      }))
      .toSorted((a, b) => a.port - b.port),
    connection: { mode, idleTimeoutSeconds, maxConnections, drainTimeoutSeconds },
    healthCheck: { intervalSeconds, timeoutSeconds, failureThreshold, readinessPolicy },
    ...blocks[driverOf(spec)](spec, placement),
  };
}

type SsmSpec = NonNullable<PortForwardSpec['ssm']>;

/** The part of a config that is the driver's own: its name and the block of that name. */
type Block<Config> = Config extends { readonly driver: infer Name extends keyof Config }
  ? Pick<Config, 'driver' | Name>
  : never;

/** A driver that the tunnel config knows and this table does not, does not compile. */
const blocks: {
  readonly [Name in DriverName]: (
    spec: PortForwardSpec,
    placement: Placement,
  ) => Block<Extract<TunnelConfig, { driver: Name }>>;
} = {
  ssh: ({ ssh }, { directoryOf }) => {
    if (ssh === undefined) throw new TypeError('spec.ssh is not set');
    const hop = ({ host, port, user = ssh.user, secretRef = ssh.secretRef }: BastionSpec): Hop => ({
      host,
      port,
      user,
      ...(secretRef && { credentials: { secretName: secretRef.name, directory: directoryOf(secretRef.name) } }),
    });
    return {
      driver: 'ssh',
      ssh: {
        bastions: ssh.bastions.map(hop),
        bastionPolicy: ssh.bastionPolicy,
        jumpHosts: (ssh.jumpHosts ?? []).map(hop),
        knownHosts: ssh.knownHosts ?? '',
        hostKeyPolicy: ssh.hostKeyPolicy,
        serverAliveIntervalSeconds: ssh.serverAliveIntervalSeconds,
        connectTimeoutSeconds: ssh.connectTimeoutSeconds,
      },
    };
  },
  ssm: ({ ssm }, { directoryOf }) => {
    if (ssm === undefined) throw new TypeError('spec.ssm is not set');
    const { region, assumeRole, secretRef, sessions, maxSessionMinutes, endpoints } = ssm;
    return {
      driver: 'ssm',
      ssm: {
        region,
        target: ssmTarget(ssm),
        ...(assumeRole && { assumeRole }),
        ...(secretRef && { credentials: { secretName: secretRef.name, directory: directoryOf(secretRef.name) } }),
        sessions,
        maxSessionMinutes,
        endpoints: { ssm: '', ssmmessages: '', sts: '', ecs: '', ...endpoints },
      },
    };
  },
  fly: ({ fly }, { directoryOf, memoryDirectory }) => {
    if (fly === undefined) throw new TypeError('spec.fly is not set');
    const { app, org, network = '', region, secretRef, transport } = fly;
    return {
      driver: 'fly',
      fly: {
        ...defined({ app, org }),
        network,
        region,
        credentials: { secretName: secretRef.name, directory: directoryOf(secretRef.name) },
        transport,
        directory: memoryDirectory,
      },
    };
  },
};

function ssmTarget({ target: { instanceId, tags, ecsTask } }: SsmSpec): SsmConfig['target'] {
  if (instanceId !== undefined) return { instanceId };
  if (tags !== undefined) return { tags };
  if (ecsTask !== undefined) return { ecsTask };
  throw new TypeError('spec.ssm.target is empty');
}
