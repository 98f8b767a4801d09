// The two that are compared, each as its users run it: the bundled sidecar, and the ssh command. Both go to the same sshd, which speaks
// one cipher only. Neighbours: bench.ts starts them, test/private-network/sshd.ts is the bastion.
import { cpSync, existsSync, globSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminPort, configVariable, podUidVariable } from '../../src/contract/pod.ts';
import type { TunnelConfig } from '../../src/contract/tunnel-config.ts';
import { Child } from '../cluster/child.ts';
import { command } from '../cluster/command.ts';
import { freePort } from '../cluster/ports.ts';
import type { KeyPair, Sshd } from '../private-network/sshd.ts';
import { header } from './content.ts';

export const cipher = 'aes128-gcm@openssh.com';
const root = join(import.meta.dirname, '..', '..');

/** Where the tunnels lead: through which port to sshd, and to which port behind it. */
export interface Way {
  readonly sshd: Sshd;
  readonly key: KeyPair;
  /** sshd's own port, or that of a proxy before it. */
  readonly bastionPort: number;
  readonly destinationPort: number;
  readonly directory: string;
}

export interface Tunnel {
  readonly port: number;
  readonly pid: number;
  /** From the start of the process until it carried (ssh) or said that it is ready (sidecar), in milliseconds. */
  readonly startMs: number;
  /** SSH connections that it carries streams over. */
  links(): Promise<number>;
  stop(): Promise<void>;
}

/** The bundle, built where it is missing or older than a source, and copied, so that a build meanwhile changes nothing under a run. */
export async function bundle(directory: string): Promise<string> {
  const built = join(root, 'dist', 'portforward.cjs');
  const newest = Math.max(...globSync('src/**/*.ts', { cwd: root }).map((file) => statSync(join(root, file)).mtimeMs));
  if (!existsSync(built) || statSync(built).mtimeMs < newest) {
    await command(process.execPath, [join(root, 'scripts', 'build.ts')], { timeoutMs: 300_000 });
  }
  const copy = join(directory, 'dist');
  cpSync(join(root, 'dist'), copy, { recursive: true });
  return join(copy, 'portforward.cjs');
}

export async function startSidecar(program: string, way: Way): Promise<Tunnel> {
  const secret = mkdtempSync(join(tmpdir(), 'portforward-bench-'));
  writeFileSync(join(secret, 'ssh-privatekey'), way.key.privateKey);
  writeFileSync(join(secret, 'known_hosts'), way.sshd.knownHosts({ name: `[127.0.0.1]:${way.bastionPort}` }));
  const port = await freePort();
  const env = { [configVariable]: JSON.stringify(configOf(way, port, secret)), [podUidVariable]: 'bench' };
  const began = performance.now();
  const child = new Child('sidecar', process.execPath, [program, 'sidecar'], { env });
  await poll(child, async () => (await admin('/readyz'))?.status === 200);
  const startMs = performance.now() - began;
  const live = async (): Promise<number> =>
    Number(/portforward_tunnel_sessions\{part="live"\} (\d+)/.exec((await admin('/metrics'))?.body ?? '')?.[1] ?? 0);
  return {
    port,
    pid: child.pid,
    startMs,
    links: live,
    stop: async () => {
      await child.kill();
      rmSync(secret, { recursive: true, force: true });
    },
  };
}

/** A document's defaults. */
function configOf(way: Way, listenPort: number, directory: string): TunnelConfig {
  return {
    version: 1,
    namespace: 'bench',
    name: 'bench',
    driver: 'ssh',
    forwards: [
      {
        name: 'bulk',
        port: 5432,
        listenPort,
        destination: { host: '127.0.0.1', port: way.destinationPort },
        appProtocol: 'tcp',
        health: 'Passive',
      },
    ],
    connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 1000, drainTimeoutSeconds: 30 },
    healthCheck: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
    ssh: {
      bastions: [
        { host: '127.0.0.1', port: way.bastionPort, user: 'tunnel', credentials: { secretName: 'bench', directory } },
      ],
      bastionPolicy: 'Ordered',
      jumpHosts: [],
      knownHosts: '',
      hostKeyPolicy: 'Strict',
      serverAliveIntervalSeconds: 2,
      connectTimeoutSeconds: 10,
    },
  };
}

export async function startSsh(way: Way): Promise<Tunnel> {
  const knownHosts = join(way.directory, `known_hosts-${way.bastionPort}`);
  writeFileSync(knownHosts, way.sshd.knownHosts({ name: `[127.0.0.1]:${way.bastionPort}` }));
  const port = await freePort();
  const settings = [
    `Ciphers=${cipher}`,
    'LogVerbose=kex.c:*:*',
    `UserKnownHostsFile=${knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'ExitOnForwardFailure=yes',
    'ServerAliveInterval=2',
  ];
  const args = ['-N', '-F', 'none', '-i', way.key.file, ...settings.flatMap((setting) => ['-o', setting])];
  const line = [...args, '-L', `127.0.0.1:${port}:127.0.0.1:${way.destinationPort}`, '-p', `${way.bastionPort}`];
  const began = performance.now();
  // A file for each connection.
  const script = 'ulimit -Sn 4096; exec ssh "$@"';
  const child = new Child('ssh', 'sh', ['-c', script, 'sh', ...line, 'tunnel@127.0.0.1'], { keptLines: 20_000 });
  await poll(child, async () => await echoes(port));
  const startMs = performance.now() - began;
  requireCipher('ssh', child.log(), 2);
  return { port, pid: child.pid, startMs, links: async () => 1, stop: async () => await child.kill() };
}

/** @throws unless these lines of OpenSSH name at least so many directions of key exchange, and all with our cipher. */
export function requireCipher(who: string, log: readonly string[], atLeast: number): void {
  const used = log.flatMap((line) => /kex: \S+ cipher: (\S+)/.exec(line)?.[1] ?? []);
  if (used.length < atLeast || used.some((one) => one !== cipher)) {
    throw new Error(
      `${who} was to use ${cipher} alone, in ${atLeast} directions, and used ${used.join(', ') || 'none'}`,
    );
  }
}

/** Asks every 5 ms: a start is timed to that grain. */
async function poll(child: Child, ready: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await ready())) {
    if (child.end !== undefined || performance.now() > deadline) {
      throw new Error(`${child.name} did not come up (${child.end ?? 'runs'}):\n${child.log().slice(-20).join('\n')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function admin(path: string): Promise<{ readonly status: number; readonly body: string } | undefined> {
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

async function echoes(port: number): Promise<boolean> {
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
