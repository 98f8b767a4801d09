// A sidecar in this process with real bastions, for the tests beside it and for test/faults.
// Neighbours: lab/private-network (the servers), src/sidecar/sidecar.ts (what is tested).
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Postgres } from '../../../lab/private-network/postgres.ts';
import { type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { command } from '../../../lab/process/command.ts';
import { type Forward, type TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { createLog, type Logger } from '../../../src/process/log.ts';
import { type Sidecar, startSidecar } from '../../../src/sidecar/sidecar.ts';
import { engineOfRun } from '../../support/data-path.ts';
import { permissionsFor } from '../../support/permissions.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import type { SessionManager } from '../../support/ssm/session-manager.ts';
import { hopTo, SecretDirectory, userKey } from '../ssh/ssh-world.ts';

export type SshTunnelConfig = Extract<TunnelConfig, { driver: 'ssh' }>;
export type SsmTunnelConfig = Extract<TunnelConfig, { driver: 'ssm' }>;

/** What a test may set in a forward; the rest has the defaults of the API. */
export type ForwardOptions = Partial<Forward> & { readonly port: number };

export interface ConfigOptions {
  readonly forwards: readonly ForwardOptions[];
  readonly connection?: Partial<TunnelConfig['connection']>;
  readonly healthCheck?: Partial<TunnelConfig['healthCheck']>;
  readonly ssh?: Partial<SshTunnelConfig['ssh']>;
}

/** A config with the defaults of the API; `port` is the destination's port on 127.0.0.1, unless `destination` is given. */
export function tunnelConfig(bastions: SshTunnelConfig['ssh']['bastions'], options: ConfigOptions): SshTunnelConfig {
  return { ...commonConfig(options), driver: 'ssh', ssh: { ...sshConfig(bastions), ...options.ssh } };
}

/** The same through Session Manager: the test service's node, with keys out of that Secret. */
export function ssmTunnelConfig(
  { endpoint }: Pick<SessionManager, 'endpoint'>,
  secret: SecretDirectory,
  options: Omit<ConfigOptions, 'ssh'> & { readonly ssm?: Partial<SsmTunnelConfig['ssm']> },
): SsmTunnelConfig {
  return {
    ...commonConfig(options),
    driver: 'ssm',
    ssm: {
      region: 'eu-west-1',
      target: { instanceId: 'i-0123456789abcdef0' },
      credentials: { secretName: 'aws', directory: secret.directory },
      sessions: 1,
      maxSessionMinutes: 0,
      endpoints: { ssm: endpoint, ssmmessages: '', sts: '', ecs: '' },
      ...options.ssm,
    },
  };
}

/** What every driver's config has. */
function commonConfig(options: Omit<ConfigOptions, 'ssh'>): Omit<SshTunnelConfig, 'driver' | 'ssh'> {
  return {
    version: 1,
    namespace: 'test',
    name: 'orders-db',
    forwards: options.forwards.map((forward) => ({
      name: `p${forward.port}`,
      listenPort: 0,
      destination: { host: '127.0.0.1', port: forward.port },
      appProtocol: 'tcp',
      health: 'Off',
      ...forward,
    })),
    connection: {
      mode: 'Persistent',
      idleTimeoutSeconds: 600,
      maxConnections: 1000,
      drainTimeoutSeconds: 5,
      ...options.connection,
    },
    healthCheck: {
      intervalSeconds: 10,
      timeoutSeconds: 3,
      failureThreshold: 3,
      readinessPolicy: 'Transport',
      ...options.healthCheck,
    },
  };
}

/** A real sshd that admits one key, and the mounted Secret that holds it. */
export interface Bastion {
  readonly sshd: Sshd;
  readonly secret: SecretDirectory;
  readonly privateKey: string;
  /** The line of authorized_keys. */
  readonly publicKey: string;
  readonly hop: SshTunnelConfig['ssh']['bastions'][number];
  stop(): Promise<void>;
}

export async function startBastion(options: Parameters<typeof startSshd>[0] = {}): Promise<Bastion> {
  const sshd = await startSshd(options);
  const key = await userKey(sshd);
  const secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts() });
  return {
    sshd,
    secret,
    privateKey: key.privateKey,
    publicKey: key.publicKey,
    hop: hopTo(sshd, secret),
    stop: async () => {
      await sshd.stop();
      secret[Symbol.dispose]();
    },
  };
}

function testLog(): Logger {
  return createLog({ level: process.env['PF_TEST_LOG'] === undefined ? 'silent' : 'debug' });
}

export async function openSidecar(config: TunnelConfig, log: Logger = testLog()): Promise<Sidecar> {
  return await startSidecar(config, {
    podUid: 'test',
    log,
    environment: process.env,
    permissions: permissionsFor(config),
    address: '127.0.0.1',
    adminPort: 0,
    engine: engineOfRun(),
  });
}

/** Resolves once `ready()` is true; checks after every change of the sidecar and every 50 ms. @throws after `timeoutMs`, with the status. */
export async function until(
  sidecar: Sidecar,
  ready: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    if (performance.now() > deadline) throw new Error(`not in time: ${JSON.stringify(sidecar.status())}`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, 50);
      const unsubscribe = sidecar.onChange(done);
      function done(): void {
        clearTimeout(timer);
        unsubscribe();
        resolve();
      }
    });
  }
}

export async function untilConnected(sidecar: Sidecar, timeoutMs = 30_000): Promise<void> {
  await until(sidecar, () => sidecar.status().state === 'Connected', timeoutMs);
}

/** A client's connection to one of the sidecar's ports. */
export async function client(sidecar: Sidecar, index = 0): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: portOf(sidecar, index), allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  // Many tests wait for resets, and add a listener of their own.
  socket.on('error', () => undefined);
  return socket;
}

export function portOf(sidecar: Sidecar, index = 0): number {
  const port = sidecar.ports[index];
  if (port === undefined) throw new Error(`the sidecar has no port ${index}`);
  return port.port;
}

/** The error code that a socket ended with, or `end` if it ended cleanly. What it sends is read and dropped. */
export async function endOf(socket: Socket): Promise<string> {
  socket.on('data', () => undefined);
  return await new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve('end'));
    socket.once('close', () => resolve('close'));
  });
}

/** Runs one query by the real psql through that port. @throws with psql's message. */
export async function psql(
  postgres: Pick<Postgres, 'user' | 'password' | 'database'>,
  port: number,
  query: string,
  parameters = '',
): Promise<string> {
  const { user, password, database } = postgres;
  const target = `host=127.0.0.1 port=${port} user=${user} dbname=${database} connect_timeout=20 ${parameters}`;
  return await command('psql', ['-X', '-A', '-t', '-c', query, target], { env: { PGPASSWORD: password } });
}
