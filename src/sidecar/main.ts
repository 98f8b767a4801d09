// The tunnel pod's process: reads the environment, runs the sidecar until it is asked to stop, then drains.
// Neighbours: cli/sidecar.ts starts it, sidecar.ts is the work.
import { randomUUID } from 'node:crypto';
import { TunnelError } from '../contract/errors.ts';
import { noPermissions, type Permissions } from '../contract/permissions.ts';
import { adminPort, configVariable, podNameVariable, podUidVariable } from '../contract/pod.ts';
import { noTracing, type Tracing, tracingDirectory } from '../contract/tracing.ts';
import { parseTunnelConfig, type TunnelConfig } from '../contract/tunnel-config.ts';
import { aborted } from '../process/abort.ts';
import type { Logger } from '../process/log.ts';
import type { OtlpExporter } from '../process/otlp.ts';
import { chooseEngine } from './data-path.ts';
import { crashFile as defaultCrashFile } from './engine-crashes.ts';
import { startSidecar } from './sidecar.ts';

/** Endpoints lag behind a pod's readiness: clients still arrive for about this long after SIGTERM, and are still accepted. */
const endpointLagMs = 3_000;

export interface RunSidecarOptions {
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Default: `adminPort` of contract/pod.ts, which kubelet and controller know. Another one is for tests. */
  readonly adminPort?: number;
  /** Where `doctor` asks this process. Default: nowhere. */
  readonly doctorSocket?: string | undefined;
  /** What an administrator allows. Default: nothing. */
  readonly permissions?: Permissions;
  /** Where traces are sent. Default: nothing is traced. */
  readonly tracing?: Tracing;
  /** Where the values of the traces' headers are. Default: where the pod mounts them. */
  readonly tracingDirectory?: string;
  /** False: the native engine stays off. Default: it is used where it can be. */
  readonly nativeDataPath?: boolean;
  /** Where crashes of this pod's process are noted. Default: where process 1 of the image notes them. */
  readonly crashFile?: string;
}

/** Runs until `signal` aborts, then drains. @throws TunnelError ConfigUnreadable; the signal's reason if it is aborted already. */
export async function runSidecar(options: RunSidecarOptions): Promise<void> {
  const { signal, log, adminPort: port = adminPort, permissions = noPermissions, doctorSocket } = options;
  const { env: environment } = process;
  // The node's role is everybody's on that node. The AWS library's own search reads this variable.
  if (!permissions.nodeRole) environment['AWS_EC2_METADATA_DISABLED'] = 'true';
  const text = environment[configVariable];
  if (text === undefined) {
    throw new TunnelError('ConfigUnreadable', `the environment variable ${configVariable} is not set`);
  }
  const config = parseTunnelConfig(text);
  // Asked to stop while the program was loading: clients never knew of this pod, so there is nobody to drain.
  signal.throwIfAborted();
  const podUid = environment[podUidVariable] ?? randomUUID();
  const exporter = await exporterOf(options, config);
  const { nativeDataPath: allowed = true, crashFile = defaultCrashFile } = options;
  const engine = chooseEngine({ config, allowed, crashFile, log });
  const fields = { namespace: config.namespace, portForward: config.name, pod: environment[podNameVariable] };
  const sidecar = await startSidecar(config, {
    podUid,
    log: log.child(fields),
    environment,
    permissions,
    adminPort: port,
    doctorSocket,
    trace: exporter?.trace,
    engine,
  });
  await aborted(signal);
  await sidecar.stop({ lagMs: endpointLagMs });
  await exporter?.flush();
  log.info('stopped');
}

/** Loaded only where something is traced. */
async function exporterOf(
  { tracing = noTracing, tracingDirectory: directory = tracingDirectory, log }: RunSidecarOptions,
  { namespace, name, driver }: TunnelConfig,
): Promise<OtlpExporter | undefined> {
  if (tracing.endpoint === '') return undefined;
  const exporter = await import('../process/otlp.ts');
  const resource = {
    'service.name': 'portforward-tunnel',
    'k8s.namespace.name': namespace,
    'k8s.pod.name': process.env[podNameVariable] ?? '',
    'portforward.name': name,
    'portforward.driver': driver,
  };
  return new exporter.OtlpExporter({ ...tracing, directory, resource, log });
}
