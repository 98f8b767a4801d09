// The sidecar as a process of its own, as it runs in a pod, with an admin port that the test can find.
// Neighbour: pod-process.ts is what it runs.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configVariable, podUidVariable } from '../../../src/contract/pod.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { Child } from '../../cluster/child.ts';
import { freePort } from '../../cluster/ports.ts';
import { nodeFlags } from '../../support/entrypoint.ts';

const script = fileURLToPath(new URL('pod-process.ts', import.meta.url));

export interface Pod {
  readonly child: Child;
  /** Of /readyz. */
  readiness(): Promise<{ readonly status: number; readonly reason?: string }>;
  /** The JSON of an admin page. */
  json(path: string): Promise<Record<string, unknown>>;
  /** The value of the first series whose name and labels begin like that. */
  metric(start: string): Promise<number>;
  /** Resident memory in MiB. */
  memory(): number;
  /** Resolves when it has ended, with how. @throws after 10 s. */
  ended(): Promise<string>;
}

/** Resolves when its listeners and its admin port are open. A container that is started again has the UID of its pod again. */
export async function startPod(config: TunnelConfig, podUid?: string): Promise<Pod> {
  const adminPort = await freePort('127.0.0.1');
  const admin = `http://127.0.0.1:${adminPort}`;
  const child = spawnPod(JSON.stringify(config), adminPort, podUid);
  const answers = async (): Promise<boolean> =>
    await fetch(`${admin}/livez`).then(
      (response) => response.ok,
      () => false,
    );
  await child.until(answers, 20_000);
  return {
    child,
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
  const env = { [configVariable]: config, [podUidVariable]: podUid, PF_TEST_ADMIN_PORT: `${adminPort}` };
  return new Child('sidecar', process.execPath, [...nodeFlags, script], { env });
}

/** How it ended. @throws after 10 s. */
export async function endOf(child: Child): Promise<string> {
  await child.until(() => child.end !== undefined, 10_000).catch(() => undefined);
  if (child.end === undefined) throw new Error(`it still runs:\n${child.log().slice(-20).join('\n')}`);
  return child.end;
}
