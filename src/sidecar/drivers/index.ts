// Driver name → the driver, imported only when it is the chosen one: no pod pays for the libraries of another driver.
// A new driver is one more line; without it this table does not compile.
import type { Permissions } from '../../contract/permissions.ts';
import { type Destination, type DriverName, destinationText, type TunnelConfig } from '../../contract/tunnel-config.ts';
import type { Logger } from '../../process/log.ts';
import type { ByteBudget } from '../base/byte-budget.ts';
import type { Driver } from '../base/driver.ts';
import type { Engine } from '../base/native-engine.ts';

/** A driver with what the tunnel must know of its kind. */
export interface OpenedDriver {
  readonly driver: Driver;
  /** Sessions that a tunnel keeps open. */
  readonly sessionsWanted: number;
  /** The limit of one dial, and of one attempt to connect unless that has its own. */
  readonly connectTimeoutMs: number;
  /** The limit of one attempt to connect, where it is more than one step. */
  readonly attemptTimeoutMs?: number;
  /** Whether a route that is not in use can be judged without harm, by a login or by `checkStandby`: then it is, now and then. */
  readonly checksStandbys?: boolean;
  /** Whether its ciphers run natively; absent where it has none of its own. */
  readonly nativeCrypto?: boolean;
  /** Whether its sessions give their sockets to the native engine: then the engine accepts the clients. */
  readonly carriesNatively?: boolean;
  /** Its dial resolves before the destination has answered; a refusal fails the stream before its first byte. */
  readonly optimisticDials?: boolean;
}

export interface DriverSurroundings {
  /** Seeds the order of bastions where pods should differ. */
  readonly podUid: string;
  readonly log: Logger;
  /** What all buffers of the pod may hold together. */
  readonly budget: ByteBudget;
  /** The process's own: a proxy, and what a platform gives its pods as an identity. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What the config alone must not decide. */
  readonly permissions: Permissions;
  /** Carries the bytes of ssh sessions. Default: JavaScript does. */
  readonly engine?: Engine | undefined;
}

type ConfigOf<N extends DriverName> = Extract<TunnelConfig, { readonly driver: N }>;
type Open<N extends DriverName> = (config: ConfigOf<N>, surroundings: DriverSurroundings) => Promise<OpenedDriver>;

const drivers: { readonly [N in DriverName]: Open<N> } = {
  ssh: async ({ ssh }, surroundings) => {
    const { createSshDriver } = await import('./ssh/driver.ts');
    const { givesKeys, nativeCrypto, whyNoKeys } = await import('./ssh/base/ssh2-protocol.ts');
    const connectTimeoutMs = ssh.connectTimeoutSeconds * 1000;
    // Each hop of the way has the whole time for itself.
    const attemptTimeoutMs = connectTimeoutMs * (ssh.jumpHosts.length + 1);
    const { permissions, engine, log } = surroundings;
    const { insecureHostKeys } = permissions;
    const hostKeyPolicy = insecureHostKeys ? ssh.hostKeyPolicy : 'Strict';
    // A session behind a jump host has no socket of its own.
    const isWanted = engine !== undefined && ssh.jumpHosts.length === 0;
    const carriesNatively = isWanted && givesKeys();
    if (isWanted && !carriesNatively) {
      log.warn({ because: whyNoKeys }, 'there is no native data path: bytes cost more CPU time');
    }
    const { linkTaker } = await import('./ssh/base/ssh2-link.ts');
    const takeLink = carriesNatively ? linkTaker(engine) : undefined;
    const driver = createSshDriver({ ...ssh, hostKeyPolicy }, { ...surroundings, takeLink });
    const kind = { sessionsWanted: 2, checksStandbys: true, connectTimeoutMs, attemptTimeoutMs };
    return { ...kind, driver, nativeCrypto, carriesNatively };
  },
  ssm: async ({ ssm, namespace, name, forwards, connection }, surroundings) => {
    const { createSsmDriver } = await import('./ssm/driver.ts');
    const driver = createSsmDriver(ssm, {
      ...surroundings,
      allowedEndpoints: surroundings.permissions.awsEndpoints,
      destinations: distinct(forwards),
      persistent: connection.mode === 'Persistent',
      drainTimeoutMs: connection.drainTimeoutSeconds * 1000,
      reason: `portforward/${namespace}/${name}/${surroundings.podUid}`,
    });
    const checksStandbys = driver.checkStandby !== undefined;
    return {
      driver,
      sessionsWanted: ssm.sessions,
      checksStandbys,
      connectTimeoutMs: ssmConnectMs,
      optimisticDials: true,
    };
  },
  fly: async ({ fly, namespace, name }, surroundings) => {
    const { createFlyDriver } = await import('./fly/driver.ts');
    const driver = createFlyDriver(fly, {
      ...surroundings,
      apiUrl: surroundings.permissions.flyApiUrl,
      namespace,
      name,
    });
    return { driver, sessionsWanted: 1, connectTimeoutMs: flyConnectMs };
  },
};

/**
 * Starting a session waits its turn among the pod's others (a second each), passes several servers of AWS to the agent and back, and
 * ends in a handshake that the agent itself gives 15 s: an attempt that is ended sooner leaves a session at AWS and gains nothing.
 */
const ssmConnectMs = 30_000;

/** A peer is made, WireGuard tries UDP and then the web socket, and the network's server echoes. */
const flyConnectMs = 30_000;

/** Each destination once: two ports may lead to the same. */
function distinct(forwards: TunnelConfig['forwards']): readonly Destination[] {
  return [...new Map(forwards.map(({ destination }) => [destinationText(destination), destination])).values()];
}

/** The driver that the config names. */
export async function openDriver(config: TunnelConfig, surroundings: DriverSurroundings): Promise<OpenedDriver> {
  return await (drivers[config.driver] as Open<DriverName>)(config, surroundings);
}
