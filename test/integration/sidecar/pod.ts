// The sidecar as a process of its own, as it runs in a pod, with an admin port that the test can find.
// Neighbour: pod-process.ts is what it runs.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from '../../../lab/process/child.ts';
import { onFreePorts } from '../../../lab/process/ports.ts';
import { configVariable, podUidVariable } from '../../../src/contract/pod.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { imageEnvironment, nodeFlags } from '../../support/entrypoint.ts';

const script = fileURLToPath(new URL('pod-process.ts', import.meta.url));

export interface Pod {
  readonly child: Child;
  /** Where each forward is listened for, which is told where its `listenPort` is 0. */
  readonly ports: readonly number[];
  /** Of /readyz. */
  readiness(): Promise<{ readonly status: number; readonly reason?: string }>;
  /** The JSON of an admin page. */
  json(path: string): Promise<Record<string, unknown>>;
  /** The value of the first series whose name and labels begin like that. */
  metric(start: string): Promise<number>;
  /** Resident memory in MiB. */
  memory(): number;
  /** Resolves when it has ended, with how. @throws after 30 s. */
  ended(): Promise<string>;
}

/** Resolves when its listeners and its admin port are open. A container that is started again has the UID of its pod again. */
export async function startPod(config: TunnelConfig, podUid?: string): Promise<Pod> {
  return await onFreePorts(1, '127.0.0.1', async ([adminPort = 0]) => await startPodAt(adminPort, config, podUid));
}

async function startPodAt(adminPort: number, config: TunnelConfig, podUid: string | undefined): Promise<Pod> {
  const admin = `http://127.0.0.1:${adminPort}`;
  const child = spawnPod(JSON.stringify(config), adminPort, podUid);
  const answers = async (): Promise<boolean> =>
    await fetch(`${admin}/livez`).then(
      (response) => response.ok,
      () => false,
    );
  const listening = (): readonly string[] => child.log().filter((line) => line.includes('"msg":"listening"'));
  try {
    await child.until(answers, 60_000);
    // The process writes its log in the background: an answer may overtake the lines before it.
    await child.until(() => listening().length === config.forwards.length, 30_000);
  } catch (error) {
    await child.kill();
    throw error;
  }
  return {
    child,
    ports: listening().map((line) => (JSON.parse(line) as { readonly port: number }).port),
    readiness: async () => {
      const response = await fetch(`${admin}/readyz`);
      const body = (await response.json()) as { readonly reason?: string };
      return { status: response.status, ...(body.reason === undefined ? {} : { reason: body.reason }) };
    },
    json: async (path) => (await (await fetch(`${admin}${path}`)).json()) as Record<string, unknown>,
    metric: async (start) => {
      const lines = (await (await fetch(`${admin}/metrics`)).text()).split('\n');
      return Number(
        lines
          .find((line) => line.startsWith(start))
          ?.split(' ')
          .at(-1),
      );
    },
    memory: () => {
      const kibibytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
      return Math.round(Number(kibibytes) / 1024);
    },
    ended: async () => await endOf(child),
  };
}

export function spawnPod(config: string, adminPort: number, podUid = 'uid-1'): Child {
  const env = {
    ...imageEnvironment,
    [configVariable]: config,
    [podUidVariable]: podUid,
    PF_TEST_ADMIN_PORT: `${adminPort}`,
  };
  return new Child('sidecar', process.execPath, [...nodeFlags, script], { env });
}

/** How it ended. @throws after 30 s. */
export async function endOf(child: Child): Promise<string> {
  await child.until(() => child.end !== undefined, 30_000).catch(() => undefined);
  if (child.end === undefined) throw new Error(`it still runs:\n${child.log().slice(-20).join('\n')}`);
  return child.end;
}

/** A pod that was asked to end accepts for 3 s more (sidecar/main.ts); within this it must. */
const acceptingMs = 2_500;

/**
 * Asks the pod to end, waits until it says so, and uses it while it must still accept. Where that took longer than it accepts, which is
 * nobody's fault but a busy machine's, all of it is done again with another pod, three times at most. @throws what `use` throws.
 */
export async function whileAccepting<T>(
  start: () => Promise<{ readonly pod: Pod; readonly use: () => Promise<T> }>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const { pod, use } = await start();
    const askedAt = performance.now();
    pod.child.signal('SIGTERM');
    try {
      await pod.child.until(async () => (await pod.readiness()).reason === 'Draining', 10_000);
      const took = performance.now() - askedAt;
      if (took > acceptingMs) throw new Error(`it said so only after ${Math.round(took)} ms`);
      return await use();
    } catch (error) {
      if (attempt === 3 || performance.now() - askedAt < acceptingMs) throw error;
    }
  }
}
