// The defaults that depend on another field or on the driver: computed here, never written in the schema.
// Neighbours: ports.ts, portforward.ts; the controller, the tunnel config and `portforward open` read ports only through this file.

import type { PortForwardSpec } from './portforward.ts';
import { type PortSpec, portName } from './ports.ts';

export type SpecDriver = 'ssh' | 'ssm' | 'fly';
type HealthMode = 'Active' | 'Passive' | 'Off';

/** A port with every default filled in. */
export interface EffectivePort {
  readonly port: number;
  readonly name: string;
  readonly appProtocol: PortSpec['appProtocol'];
  readonly destination: { readonly host: string; readonly port: number } | { readonly socket: string };
  readonly health: HealthMode;
}

/** Which driver a valid spec names. */
export function driverOf(spec: Pick<PortForwardSpec, 'ssh' | 'ssm' | 'fly'>): SpecDriver {
  if (spec.ssh !== undefined) return 'ssh';
  return spec.ssm === undefined ? 'fly' : 'ssm';
}

/** Active where a probe is a whole, harmless exchange; Passive where a destination may count half-open probes against the bastion. */
const healthByProtocol: Record<PortSpec['appProtocol'], HealthMode> = {
  postgresql: 'Active',
  redis: 'Active',
  http: 'Active',
  tcp: 'Passive',
  tls: 'Passive',
  mysql: 'Passive',
};

/** The ports of a valid spec, in its order, with names, destinations and health modes filled in. */
export function effectivePorts(spec: Pick<PortForwardSpec, 'ports' | 'fly' | 'healthCheck'>): EffectivePort[] {
  const defaultHost = spec.fly?.app === undefined ? 'localhost' : `${spec.fly.app}.internal`;
  return spec.ports.map((port) => ({
    port: port.port,
    name: portName(port),
    appProtocol: port.appProtocol,
    destination:
      port.destinationSocket === undefined
        ? { host: port.destinationHost ?? defaultHost, port: port.destinationPort ?? port.port }
        : { socket: port.destinationSocket },
    health: spec.healthCheck.destination ?? healthByProtocol[port.appProtocol],
  }));
}
