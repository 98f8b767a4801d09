// The two peers, each as its users run it: the bundled sidecar, and the ssh command. Both go to the same sshd, which accepts only one
// cipher. Neighbours: bench.ts starts them, sidecar.ts is our side, lab/private-network/sshd.ts is the bastion.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyPair, Sshd } from '../../lab/private-network/sshd.ts';
import { Child } from '../../lab/process/child.ts';
import { freePort } from '../../lab/process/ports.ts';
import { defined } from '../../src/contract/defined.ts';
import type { Forward, TunnelConfig } from '../../src/contract/tunnel-config.ts';
import { sshConfig } from '../support/ssh-config.ts';
import { configOf, echoes, poll, startSidecar, type Tunnel } from './sidecar.ts';

export const cipher = 'aes128-gcm@openssh.com';

/** Where the tunnels lead: through which port to sshd, and to which port behind it. */
export interface Way {
  readonly sshd: Sshd;
  readonly key: KeyPair;
  /** sshd's own port, or that of a proxy before it. */
  readonly bastionPort: number;
  readonly destinationPort: number;
  readonly directory: string;
}

export type FurtherForward = Omit<Forward, 'health'>;

export interface OursOptions {
  /** Forwards beside the one to the destination. */
  readonly further?: readonly FurtherForward[];
  /** Further words of its command line. */
  readonly words?: readonly string[];
}

export async function startOurs(program: string, way: Way, { further = [], words }: OursOptions = {}): Promise<Tunnel> {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-bench-'));
  writeFileSync(join(directory, 'ssh-privatekey'), way.key.privateKey);
  writeFileSync(join(directory, 'known_hosts'), way.sshd.knownHosts({ name: `[127.0.0.1]:${way.bastionPort}` }));
  const credentials = { secretName: 'bench', directory };
  const ssh = sshConfig([{ host: '127.0.0.1', port: way.bastionPort, user: 'tunnel', credentials }]);
  const toConfig = (port: number): TunnelConfig => {
    const config = configOf(port, way.destinationPort);
    const forwards = [...config.forwards, ...further.map((each): Forward => ({ health: 'Off', ...each }))];
    return { ...config, forwards, driver: 'ssh', ssh };
  };
  const tunnel = await startSidecar(program, toConfig, defined({ words }));
  return {
    ...tunnel,
    stop: async () => {
      await tunnel.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Ciphers: those that it may use. Default: its own list. */
export async function startSsh(way: Way, { ciphers }: { readonly ciphers?: string } = {}): Promise<Tunnel> {
  const knownHosts = join(way.directory, `known_hosts-${way.bastionPort}`);
  writeFileSync(knownHosts, way.sshd.knownHosts({ name: `[127.0.0.1]:${way.bastionPort}` }));
  const port = await freePort();
  const settings = [
    ...(ciphers === undefined ? [] : [`Ciphers=${ciphers}`]),
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
  // One open file for each connection.
  const script = 'ulimit -Sn 4096; exec ssh "$@"';
  const child = new Child('ssh', 'sh', ['-c', script, 'sh', ...line, 'tunnel@127.0.0.1'], { keptLines: 20_000 });
  await poll(child, async () => await echoes(port));
  const startMs = performance.now() - began;
  if (ciphers !== undefined) requireCipher('ssh', child.log(), 2);
  return { port, pid: child.pid, startMs, links: async () => 1, stop: async () => await child.kill() };
}

/** @throws unless these lines of OpenSSH name at least that many directions of key exchange, all with our cipher. */
export function requireCipher(who: string, log: readonly string[], atLeast: number): void {
  const used = log.flatMap((line) => /kex: \S+ cipher: (\S+)/.exec(line)?.[1] ?? []);
  if (used.length < atLeast || used.some((one) => one !== cipher)) {
    throw new Error(
      `${who} was to use ${cipher} alone, in ${atLeast} directions, and used ${used.join(', ') || 'none'}`,
    );
  }
}
