// `portforward open`: the same tunnel from the same document, on this machine, without a cluster. sidecar/sidecar.ts does the
// work; this file gives it its document, its Secrets, its local ports, and prints what happens.
// Neighbours: documents.ts, local-secrets.ts, cluster-secrets.ts, port-mapping.ts, state-lines.ts.
import { randomUUID } from 'node:crypto';
import { parsePortForward } from '../contract/api/parse.ts';
import type { PortForward } from '../contract/api/portforward.ts';
import { isPortForward } from '../contract/api/verdict.ts';
import { checkEndpoints } from '../contract/aws-endpoint.ts';
import { defined } from '../contract/defined.ts';
import { TunnelError } from '../contract/errors.ts';
import { hostPort } from '../contract/ip-address.ts';
import { secretKeysOf, secretNamesOf } from '../contract/secrets.ts';
import { destinationText, type TunnelConfig } from '../contract/tunnel-config.ts';
import { tunnelConfigOf } from '../contract/tunnel-config-of.ts';
import { onAbort } from '../process/abort.ts';
import { createLog, type Logger } from '../process/log.ts';
import { run } from '../process/run.ts';
import { type Sidecar, startSidecar } from '../sidecar/sidecar.ts';
import { nameOf } from './check.ts';
import { type FileDocument, readDocuments } from './documents.ts';
import { type LocalSecret, PrivateDirectory, provideSecrets } from './local-secrets.ts';
import { localPorts } from './port-mapping.ts';
import { interventionReason, StateLines, type UsedSecrets } from './state-lines.ts';
import { trustAwsBundle } from './trust-aws-bundle.ts';
import { isUsageError, UsageError } from './usage-error.ts';

export interface OpenOptions {
  readonly files: readonly string[];
  readonly address: string;
  /** `LOCAL:PORT` */
  readonly ports: readonly string[];
  readonly secrets: readonly string[];
  readonly secretsFolder: string | undefined;
  readonly context: string | undefined;
  readonly name: string | undefined;
  readonly allowInsecureHostKeys: boolean;
  /** Addresses besides AWS's own that may receive signed requests. */
  readonly allowedEndpoints: readonly string[];
  /** Writes the tunnel's own log to standard error. */
  readonly verbose: boolean;
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** The tunnel cannot connect until a person fixes something; the message says what. */
class InterventionNeeded extends Error {
  override readonly name = 'InterventionNeeded';
}

/** Runs until Ctrl-C (exit code 0), a failure that a person must fix (1) or a wrong call (2), and ends the process. */
export async function open(options: OpenOptions): Promise<never> {
  const log = createLog({
    level: options.verbose ? 'debug' : 'silent',
    destination: { write: (line) => void process.stderr.write(line) },
  });
  const main = async (signal: AbortSignal): Promise<void> => {
    const directory = new PrivateDirectory();
    try {
      await runTunnel(options, directory, log, signal);
    } finally {
      directory.remove();
    }
  };
  return run(main, {
    log,
    exitCodeOf: (error) => (isUsageError(error) ? 2 : 1),
    report: (error) => options.complain(error instanceof Error ? error.message : String(error)),
  });
}

async function runTunnel(
  options: OpenOptions,
  directory: PrivateDirectory,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { documents, complaints } = readDocuments(options.files);
  const [complaint] = complaints;
  if (complaint !== undefined) throw new UsageError(`${complaint.file}:${complaint.line}: ${complaint.message}`);
  const portForward = choose(documents, options);
  const { config, secrets } = await prepare(portForward, documents, directory, options, signal);
  const sidecar = await listen(config, options, log);
  try {
    announce(config, sidecar, options);
    await watch(sidecar, { secrets, keys: secretKeysOf(portForward.spec) }, options.print, signal);
  } finally {
    // No drain on a laptop: Ctrl-C means now.
    await sidecar.stop({ drainMs: 0 });
  }
}

/** The one PortForward to open. @throws UsageError if there is none, more than one, or it is not valid. */
function choose(documents: readonly FileDocument[], { name, files }: OpenOptions): PortForward {
  const all = documents.filter(({ value }) => isPortForward(value));
  const names = all.map(({ value }) => nameOf(value));
  const wanted =
    name === undefined
      ? all
      : all.filter(({ value }) => [nameOf(value), nameOf(value).split('/').at(-1)].includes(name));
  const [first, second] = wanted;
  if (first === undefined) {
    const there = names.length === 0 ? 'no PortForward' : names.join(', ');
    throw new UsageError(`${files.join(', ')}: there is ${there}${name === undefined ? '' : `, but not ${name}`}`);
  }
  if (second !== undefined) throw new UsageError(`there are ${names.join(', ')}: choose one with --name`);
  const parsed = parsePortForward(first.value);
  if (parsed.ok) return parsed.value;
  const issues = parsed.issues.map(({ path, message }) => `  ${path}: ${message}`);
  throw new UsageError(
    `${first.file}: ${nameOf(first.value)} is not valid (portforward check shows the lines):\n${issues.join('\n')}`,
  );
}

interface Prepared {
  readonly config: TunnelConfig;
  readonly secrets: ReadonlyMap<string, LocalSecret>;
}

async function prepare(
  portForward: PortForward,
  documents: readonly FileDocument[],
  directory: PrivateDirectory,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<Prepared> {
  const { spec, metadata } = portForward;
  if (spec.ssh?.hostKeyPolicy === 'InsecureIgnore' && !options.allowInsecureHostKeys) {
    throw new UsageError(
      'spec.ssh.hostKeyPolicy is InsecureIgnore: put the bastion’s key into spec.ssh.knownHosts, or add --allow-insecure-host-keys',
    );
  }
  checkAwsEndpoints(spec, options.allowedEndpoints);
  if (spec.ssm !== undefined) trustAwsBundle(process.env);
  const ports = localPorts(spec, options.ports);
  const names = secretNamesOf(spec);
  const cluster = options.context === undefined ? undefined : await clusterOf(options.context, signal);
  const namespace = metadata.namespace ?? cluster?.namespace;
  const secrets = await provideSecrets(
    { namespace, names, keys: secretKeysOf(spec) },
    {
      given: options.secrets,
      documents,
      folder: options.secretsFolder,
      fromCluster: cluster && ((name) => cluster.read(namespace ?? 'default', name)),
    },
    directory,
  );
  const config = tunnelConfigOf(
    { spec, metadata: { ...metadata, ...defined({ namespace }) } },
    {
      directoryOf: (name) => secrets.get(name)?.directory ?? '',
      listenPortOf: (port) => ports.get(port) ?? port,
      memoryDirectory: '',
    },
  );
  return { config, secrets };
}

/** @throws UsageError if the document names an address that is not allowed to receive signed requests. */
function checkAwsEndpoints({ ssm }: PortForward['spec'], allowed: readonly string[]): void {
  if (ssm === undefined) return;
  try {
    checkEndpoints(ssm.endpoints, { region: ssm.region, allowed });
  } catch (cause) {
    if (!(cause instanceof TunnelError)) throw cause;
    throw new UsageError(cause.message, { cause });
  }
}

async function clusterOf(context: string, signal: AbortSignal) {
  const { clusterSecrets } = await import('./cluster-secrets.ts');
  return clusterSecrets(context, signal);
}

async function listen(config: TunnelConfig, options: OpenOptions, log: Logger): Promise<Sidecar> {
  const { address, allowedEndpoints, allowInsecureHostKeys } = options;
  // The user of a laptop is its administrator.
  const permissions = {
    awsEndpoints: allowedEndpoints,
    // The variable of flyctl.
    flyApiUrl: process.env['FLY_API_BASE_URL'] ?? '',
    insecureHostKeys: allowInsecureHostKeys,
    nodeRole: true,
  };
  try {
    return await startSidecar(config, { podUid: randomUUID(), address, log, environment: process.env, permissions });
  } catch (error) {
    const { code, port } = error as NodeJS.ErrnoException & { readonly port?: number };
    const forward = config.forwards.find(({ listenPort }) => listenPort === port);
    if (forward === undefined) throw error;
    const remedy = `--port ${freeNeighbour(forward.listenPort)}:${forward.port}`;
    const where = hostPort(address, forward.listenPort);
    if (code === 'EADDRINUSE')
      throw new UsageError(`${where} is taken by another program: choose another with ${remedy}`);
    if (code === 'EACCES')
      throw new UsageError(`this user may not listen on ${where}: choose a higher port with ${remedy}`);
    if (code === 'EADDRNOTAVAIL') throw new UsageError(`--address ${address}: this machine does not have that address`);
    throw error;
  }
}

/** 5432 → 15432, as people usually choose. */
const freeNeighbour = (port: number): number => (port + 10_000 <= 65_535 ? port + 10_000 : port - 10_000);

function announce(config: TunnelConfig, sidecar: Sidecar, { print, address }: OpenOptions): void {
  for (const { name, host, port } of sidecar.ports) {
    const forward = config.forwards.find((each) => each.name === name);
    const destination = forward === undefined ? '' : destinationText(forward.destination);
    print(`${hostPort(host, port)} → ${destination} (${name})`);
  }
  if (!/^(127\.|::1$|localhost$)/.test(address)) {
    print(`shared: everybody who reaches this machine at ${address} reaches these destinations`);
  }
}

/** Prints every change until the signal aborts. @throws InterventionNeeded. */
async function watch(
  sidecar: Sidecar,
  here: UsedSecrets,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const lines = new StateLines();
  const ended = Promise.withResolvers<void>();
  const look = (): void => {
    const status = sidecar.status();
    const reason = interventionReason(status, here);
    if (reason !== undefined) {
      // The last line says it; no line before it may say that it is tried again.
      ended.reject(new InterventionNeeded(reason));
      return;
    }
    for (const line of lines.next(status)) print(`${new Date().toTimeString().slice(0, 8)} ${line}`);
  };
  using _ = onAbort(signal, () => ended.resolve());
  const unsubscribe = sidecar.onChange(look);
  try {
    look();
    if (signal.aborted) return;
    await ended.promise;
  } finally {
    unsubscribe();
  }
}
