// `portforward sidecar`: what a tunnel pod runs. It ends by itself only because of an unreadable config or a bug.
// Neighbours: ../sidecar/main.ts (the work), ../process/run.ts (signals and exit).

import { doctorSocket } from '../contract/doctor.ts';
import type { Permissions } from '../contract/permissions.ts';
import { logLevelVariable } from '../contract/pod.ts';
import type { Tracing } from '../contract/tracing.ts';
import { createLog, isLogLevel } from '../process/log.ts';
import { run } from '../process/run.ts';
import { runSidecar } from '../sidecar/main.ts';

export interface SidecarArguments {
  readonly permissions: Permissions;
  readonly tracing: Tracing;
  /** False: the native engine stays off. */
  readonly nativeDataPath: boolean;
}

/** Runs until SIGTERM, drains and ends the process. */
export async function sidecar(options: SidecarArguments): Promise<never> {
  const level = process.env[logLevelVariable];
  const log = createLog({ ...(isLogLevel(level) ? { level } : {}), fields: { component: 'sidecar' } });
  return run((signal) => runSidecar({ ...options, signal, log, doctorSocket }), { log });
}
