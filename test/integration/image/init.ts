// Process 1 of an unpacked image in process and network namespaces of its own, as a container runtime starts it.
// Neighbours: image.test.ts unpacks the image and asks.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { configVariable, podNameVariable, podUidVariable } from '../../../src/contract/pod.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { sshConfig } from '../../support/ssh-config.ts';

/** A tunnel whose bastion is never reached: its pod runs until it is asked to end. */
const config: TunnelConfig = {
  version: 1,
  namespace: 'shop',
  name: 'orders-db',
  forwards: [
    {
      name: 'postgres',
      port: 5432,
      listenPort: 5432,
      destination: { host: 'orders.db.internal', port: 5432 },
      appProtocol: 'postgresql',
      health: 'Active',
    },
  ],
  connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 1000, drainTimeoutSeconds: 30 },
  healthCheck: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
  driver: 'ssh',
  ssh: sshConfig([
    {
      host: '127.0.0.1',
      port: 9,
      user: 'tunnel',
      credentials: { secretName: 'orders-bastion', directory: '/etc/portforward/secrets/orders-bastion' },
    },
  ]),
};

export interface EntryPoint {
  /** The image's files, its entry point and its environment. */
  readonly files: string;
  readonly entrypoint: readonly string[];
  readonly env: readonly string[];
}

/** How long a tunnel's process 1 runs on after a SIGTERM that comes so long after its start, in milliseconds. */
export async function endAfterSigterm({ files, entrypoint, env }: EntryPoint, afterMs: number): Promise<number> {
  const variables = [...env, `${configVariable}=${JSON.stringify(config)}`];
  variables.push(`${podNameVariable}=orders-db-1`, `${podUidVariable}=uid-1`);
  const inside = ['chroot', '--userspec=65532:65532', files, '/usr/bin/env', '-i', ...variables, ...entrypoint];
  const outer = spawn('unshare', ['--pid', '--fork', '--kill-child', '--net', ...inside, 'sidecar'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    const first = await firstProcess(outer, entrypoint[0] ?? '');
    await delay(afterMs);
    const ended = once(outer, 'exit');
    const begin = performance.now();
    process.kill(first, 'SIGTERM');
    await Promise.race([ended, delay(20_000, undefined, { ref: false })]);
    if (outer.exitCode === null && outer.signalCode === null) throw new Error('it runs on after 20 s');
    return performance.now() - begin;
  } finally {
    outer.kill('SIGKILL');
  }
}

/** Its number on this machine, once it is the program of the entry point. */
async function firstProcess(outer: ChildProcess, program: string): Promise<number> {
  let first = 0;
  await eventually('process 1 is the entry point', () => {
    const children = readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8');
    first = Number(children.split(' ')[0]);
    try {
      return first > 0 && readlinkSync(`/proc/${first}/exe`).endsWith(program);
    } catch {
      return false;
    }
  });
  return first;
}
