// A sidecar in this process whose tunnel goes through the test gateway, with everything of its end.
// Neighbours: the tests of this folder, test/support/fly (the far side), ../sidecar/sidecar-world.ts (clients).
import { type TestContext } from 'node:test';
import { defined } from '../../../src/contract/defined.ts';
import { noPermissions } from '../../../src/contract/permissions.ts';
import type { FlyConfig, Forward, TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { createLog } from '../../../src/process/log.ts';
import type { WalkStep } from '../../../src/sidecar/doctor/step.ts';
import { createFlyDriver } from '../../../src/sidecar/drivers/fly/driver.ts';
import type { Gateways } from '../../../src/sidecar/drivers/fly/way.ts';
import type { openDriver } from '../../../src/sidecar/drivers/index.ts';
import { type Sidecar, startSidecar } from '../../../src/sidecar/sidecar.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { type FlyWorld, flyWorld } from '../../support/fly/fly-world.ts';
import { walk } from '../sidecar/walk.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { flyHelper } from './fly-helper.ts';

export const token = 'fo1_0123456789abcdef0123456789abcdef';

type FlyTunnelConfig = Extract<TunnelConfig, { driver: 'fly' }>;

export interface FlyPlace {
  readonly world: FlyWorld;
  /** Sends back what it gets; every port of `orders-db.internal` leads to this machine. */
  readonly service: Service;
  readonly secret: SecretDirectory;
  /** Everything that any sidecar of this place logged. */
  readonly said: readonly string[];
  readonly open: (options?: OpenOptions) => Promise<Sidecar>;
  /** What `doctor` sees of it. */
  readonly walk: (options?: OpenOptions) => Promise<readonly WalkStep[]>;
}

export interface OpenOptions {
  readonly fly?: Partial<FlyConfig>;
  readonly host?: string;
  readonly port?: number;
  readonly podUid?: string;
  readonly helperProgram?: string;
  readonly gateways?: Partial<Gateways>;
  /** Default: Active. */
  readonly health?: Forward['health'];
  /** Where `doctor` asks the sidecar. Its walk goes to fly.io’s own ports, where the test gateway is not. Default: nowhere. */
  readonly doctorSocket?: string;
}

/** A fly.io with one organization, and what is opened in it; all of it ends with the test. */
export async function flyPlace(t: TestContext): Promise<FlyPlace> {
  const [world, service, program] = await Promise.all([flyWorld(), serve(echo), flyHelper()]);
  const secret = new SecretDirectory({ FLY_API_TOKEN: token });
  const sidecars: Sidecar[] = [];
  const said: string[] = [];
  world.api.tokens.add(token);
  t.after(async () => {
    await Promise.all(sidecars.map(async (sidecar) => await sidecar.stop({ drainMs: 0 })));
    await service.stop();
    await world[Symbol.asyncDispose]();
    secret[Symbol.dispose]();
  });
  const { directory } = secret;
  const wanted = ({ fly, host = 'orders-db.internal', port = service.port, health = 'Active' }: OpenOptions) =>
    configOf({ directory, host, port, fly, health });
  const opening = ({ helperProgram, gateways }: OpenOptions, config: FlyTunnelConfig): typeof openDriver => {
    return async (_, surroundings) => ({
      driver: createFlyDriver(config.fly, {
        ...surroundings,
        apiUrl: world.api.url,
        namespace: config.namespace,
        name: config.name,
        helperProgram: helperProgram ?? program,
        gateways: { udp: world.gateway.udpPort, webSocket: world.gateway.wsPort, ...gateways },
      }),
      sessionsWanted: 1,
      connectTimeoutMs: 30_000,
    });
  };
  return {
    world,
    service,
    secret,
    said,
    walk: async (options = {}) => {
      const config = wanted(options);
      return await walk(config, opening(options, config));
    },
    open: async (options = {}) => {
      const { podUid = 'pod-1', doctorSocket } = options;
      const config = wanted(options);
      const log = createLog({ level: 'debug', destination: { write: (line) => void said.push(line) } });
      const sidecar = await startSidecar(config, {
        podUid,
        log,
        environment: { PORTFORWARD_FLY_HELPER: program },
        permissions: { ...noPermissions, flyApiUrl: world.api.url },
        address: '127.0.0.1',
        adminPort: 0,
        doctorSocket,
        openDriver: opening(options, config),
      });
      sidecars.push(sidecar);
      return sidecar;
    },
  };
}

interface Wanted {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  readonly fly: Partial<FlyConfig> | undefined;
  readonly health: Forward['health'];
}

function configOf({ directory, host, port, fly = {}, health }: Wanted): FlyTunnelConfig {
  return {
    version: 1,
    namespace: 'test',
    name: 'orders-db',
    driver: 'fly',
    fly: {
      ...defined({ app: fly.org === undefined ? 'orders-db' : undefined }),
      network: '',
      region: '',
      transport: 'Auto',
      directory: '',
      credentials: { secretName: 'fly', directory },
      ...fly,
    },
    forwards: [{ name: 'echo', port: 7, listenPort: 0, destination: { host, port }, appProtocol: 'tcp', health }],
    connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 1_000, drainTimeoutSeconds: 5 },
    healthCheck: { intervalSeconds: 5, timeoutSeconds: 3, failureThreshold: 1, readinessPolicy: 'Transport' },
  };
}
