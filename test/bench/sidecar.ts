// Our side of every comparison, as a pod runs it: the bundled `portforward sidecar` with one forward.
// Neighbours: peers.ts (ssh), ssm-peers.ts and fly-peers.ts give it its driver's block and start what it is compared with.
import { cpSync, existsSync, globSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Child } from '../../lab/process/child.ts';
import { command } from '../../lab/process/command.ts';
import { freePort } from '../../lab/process/ports.ts';
import { type Permissions, permissionArguments } from '../../src/contract/permissions.ts';
import { adminPort, configVariable, podUidVariable } from '../../src/contract/pod.ts';
import type { TunnelConfig } from '../../src/contract/tunnel-config.ts';
import { imageEnvironment, nodeFlags } from '../support/entrypoint.ts';
import { permissionsFor } from '../support/permissions.ts';
import { header } from './content.ts';

const root = join(import.meta.dirname, '..', '..');

export interface Tunnel {
  readonly port: number;
  readonly pid: number;
  /** From the start of the process until it carried a byte (theirs) or reported ready (sidecar), in milliseconds. */
  readonly startMs: number;
  /** Number of sessions that carry its streams. */
  links(): Promise<number>;
  /** The last that it printed, for a run that fails. */
  log?(): readonly string[];
  stop(): Promise<void>;
}

/** The bundle: built if it is missing or older than a source, and copied, so that a build during the run changes nothing. */
export async function bundle(directory: string): Promise<string> {
  const built = join(root, 'dist', 'portforward.cjs');
  const newest = Math.max(
    ...globSync('src/**/*.{ts,go}', { cwd: root }).map((file) => statSync(join(root, file)).mtimeMs),
  );
  if (!existsSync(built) || statSync(built).mtimeMs < newest) {
    await command(process.execPath, [join(root, 'scripts', 'build.ts')], { timeoutMs: 300_000 });
  }
  const copy = join(directory, 'dist');
  cpSync(join(root, 'dist'), copy, { recursive: true });
  return join(copy, 'portforward.cjs');
}

/** The config of one port with a document's defaults; the caller adds the driver's block. */
export function configOf(
  listenPort: number,
  destinationPort: number,
): Omit<TunnelConfig, 'driver' | 'ssh' | 'ssm' | 'fly'> {
  return {
    version: 1,
    namespace: 'bench',
    name: 'bench',
    forwards: [
      {
        name: 'bulk',
        port: 5432,
        listenPort,
        destination: { host: '127.0.0.1', port: destinationPort },
        appProtocol: 'tcp',
        health: 'Passive',
      },
    ],
    connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 1_100, drainTimeoutSeconds: 30 },
    healthCheck: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
  };
}

/** Starts the sidecar and resolves once it is ready. One at a time in a network: the admin port has one number. */
export async function startSidecar(
  program: string,
  toConfig: (listenPort: number) => TunnelConfig,
  { permissions, words = [] }: { readonly permissions?: Partial<Permissions>; readonly words?: readonly string[] } = {},
): Promise<Tunnel> {
  const port = await freePort();
  const config = toConfig(port);
  const env = { ...imageEnvironment, [configVariable]: JSON.stringify(config), [podUidVariable]: 'bench' };
  const allowed = permissionArguments({ ...permissionsFor(config), ...permissions });
  const began = performance.now();
  const child = new Child('sidecar', process.execPath, [...nodeFlags, program, 'sidecar', ...allowed, ...words], {
    env,
  });
  await poll(child, async () => (await admin('/readyz'))?.status === 200);
  const startMs = performance.now() - began;
  const links = async (): Promise<number> =>
    Number(/portforward_tunnel_sessions\{part="live"\} (\d+)/.exec((await admin('/metrics'))?.body ?? '')?.[1] ?? 0);
  const log = (): readonly string[] => child.log().slice(-20);
  return { port, pid: child.pid, startMs, links, log, stop: async () => await child.kill() };
}

/** Asks every 5 ms, which is the resolution of the start time. */
export async function poll(child: Child, ready: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await ready())) {
    if (child.end !== undefined || performance.now() > deadline) {
      throw new Error(`${child.name} did not come up (${child.end ?? 'runs'}):\n${child.log().slice(-20).join('\n')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function admin(path: string): Promise<{ readonly status: number; readonly body: string } | undefined> {
  return await new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port: adminPort, path, agent: false, timeout: 2_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.once('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => resolve(undefined));
    asked.end();
  });
}

/** Whether a connection to the port gets one byte back within 2 s. */
export async function echoes(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 2_000 });
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => socket.write(Buffer.concat([header('E'), Buffer.of(1)])));
    socket.once('data', () => end(true));
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => end(false));
  });
}
