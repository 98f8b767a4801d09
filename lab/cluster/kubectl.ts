// The kubectl of the cache on one cluster, for as long as kubectl itself may wait.
// Neighbours: host-cluster.ts, kind-cluster.ts, cluster.ts and api-server.ts call it.

import { cachedProgram } from '../base/places.ts';
import { command } from '../process/command.ts';

export interface KubectlOptions {
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** Default: two minutes, or longer if its `--timeout` is, so that kubectl itself ends and reports what it waited for. */
  readonly timeoutMs?: number;
}

/** Resolves with standard output. @throws CommandFailed with what kubectl said. */
export async function kubectl(
  kubeconfig: string,
  args: readonly string[],
  options: KubectlOptions = {},
): Promise<string> {
  const waits = args.map((arg) => Number(/^--timeout=(\d+)s$/.exec(arg)?.[1] ?? 0));
  const timeoutMs = 30_000 + 1_000 * Math.max(90, ...waits);
  return await command(cachedProgram('kubectl'), ['--kubeconfig', kubeconfig, ...args], { timeoutMs, ...options });
}
