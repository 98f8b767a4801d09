// The facts of a tunnel pod that both halves must agree on: the controller builds the pod with them, the sidecar starts by them.
// Neighbours: tunnel-config.ts (what the environment variable holds), tunnel-status.ts (what the admin port answers).

/** The environment variable with the whole TunnelConfig as JSON. A change of it rolls the Deployment by itself. */
export const configVariable = 'PORTFORWARD_CONFIG';

/** Downward-API variables: the pod's own name and UID (the UID seeds rendezvous hashes and marks the pod's own sessions). */
export const podNameVariable = 'PORTFORWARD_POD_NAME';
export const podUidVariable = 'PORTFORWARD_POD_UID';

/** How much the sidecar logs: debug, info (the default), warn or error. */
export const logLevelVariable = 'PORTFORWARD_LOG_LEVEL';

/** The admin port of a tunnel pod: /livez, /readyz, /metrics and /statusz. The controller’s own port is the flag admin-port. */
export const adminPort = 9808;
export const adminPortName = 'pf-admin';

/** Name of the one container, as `kubectl logs -c` needs it. */
export const containerName = 'tunnel';

/** Where the Secret of that name is mounted; only the documented keys are projected. */
export const secretDirectory = (secretName: string): string => `/etc/portforward/secrets/${secretName}`;

/** A volume in memory, only in pods whose driver needs one: it outlives the process but not the pod. */
export const memoryDirectory = '/run/portforward';

/** The largest tunnel config that is put into the environment: the kernel refuses one string of 128 KiB or more (E2BIG). */
export const maxConfigBytes = 100 * 1024;

/** A Service port below 1024 is listened for at this offset, so that no capability is needed. */
const unprivilegedOffset = 20_000;

/**
 * The port that a tunnel pod listens on for each Service port: the same number where that is unprivileged and free, else the next
 * free one from 20000 + port. A pure function of the set of ports, so that reordering the list changes nothing.
 */
export function listenPorts(servicePorts: readonly number[]): ReadonlyMap<number, number> {
  const taken = new Set<number>([adminPort]);
  const chosen = new Map<number, number>();
  const sorted = servicePorts.toSorted((a, b) => a - b);
  for (const port of sorted) {
    if (port < 1024 || port === adminPort) continue;
    taken.add(port);
    chosen.set(port, port);
  }
  for (const port of sorted) {
    if (chosen.has(port)) continue;
    let candidate = unprivilegedOffset + port;
    while (taken.has(candidate)) candidate += 1;
    taken.add(candidate);
    chosen.set(port, candidate);
  }
  return chosen;
}
