// A PortForward in a file as a tunnel of this machine: the document that is meant, its config, and its Secrets from wherever they are.
// Neighbours: open.ts and doctor.ts; documents.ts (files), local-secrets.ts and cluster-secrets.ts (Secrets), port-mapping.ts (local ports).
import { parsePortForward } from '../contract/api/parse.ts';
import type { PortForward } from '../contract/api/portforward.ts';
import { isPortForward } from '../contract/api/verdict.ts';
import { checkEndpoints } from '../contract/aws-endpoint.ts';
import { defined } from '../contract/defined.ts';
import { TunnelError } from '../contract/errors.ts';
import type { Permissions } from '../contract/permissions.ts';
import { secretKeysOf, secretNamesOf } from '../contract/secrets.ts';
import type { TunnelConfig } from '../contract/tunnel-config.ts';
import { tunnelConfigOf } from '../contract/tunnel-config-of.ts';
import { nameOf } from './check.ts';
import { type FileDocument, parseDocuments, readDocuments } from './documents.ts';
import { type LocalSecret, provideSecrets, type SecretData } from './local-secrets.ts';
import { localPorts } from './port-mapping.ts';
import { trustAwsBundle } from './trust-aws-bundle.ts';
import { UsageError } from './usage-error.ts';

export interface DocumentOptions {
  readonly files: readonly string[];
  /** The text of a document, instead of files. */
  readonly document?: string;
  /** Secret → key → file of this machine. */
  readonly secretFiles?: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** `LOCAL:PORT` */
  readonly ports: readonly string[];
  /** Reads these keys of a Secret of the document's namespace, instead of `context`. */
  readonly readSecret?: (name: string, keys: readonly string[]) => Promise<SecretData>;
  readonly secrets: readonly string[];
  readonly secretsFolder: string | undefined;
  readonly context: string | undefined;
  readonly name: string | undefined;
  readonly allowInsecureHostKeys: boolean;
  /** Addresses besides AWS's own that may receive signed requests. */
  readonly allowedEndpoints: readonly string[];
}

export interface DocumentTunnel {
  readonly config: TunnelConfig;
  readonly secrets: ReadonlyMap<string, LocalSecret>;
  /** The keys that the driver reads. */
  readonly keys: readonly string[];
}

/** Secrets that are not files already stay in memory. @throws UsageError */
export async function tunnelOfDocument(options: DocumentOptions, signal: AbortSignal): Promise<DocumentTunnel> {
  const { documents, complaints } =
    options.document === undefined ? readDocuments(options.files) : parseDocuments('the document', options.document);
  const [complaint] = complaints;
  if (complaint !== undefined) throw new UsageError(`${complaint.file}:${complaint.line}: ${complaint.message}`);
  return await prepare(choose(documents, options), documents, options, signal);
}

/** The user of a laptop is its administrator. */
export function laptopPermissions({
  allowedEndpoints,
  allowInsecureHostKeys,
}: Pick<DocumentOptions, 'allowedEndpoints' | 'allowInsecureHostKeys'>): Permissions {
  return {
    awsEndpoints: allowedEndpoints,
    // The variable of flyctl.
    flyApiUrl: process.env['FLY_API_BASE_URL'] ?? '',
    insecureHostKeys: allowInsecureHostKeys,
    nodeRole: true,
  };
}

/** The one PortForward to open. @throws UsageError if there is none, more than one, or it is not valid. */
function choose(documents: readonly FileDocument[], { name, files }: DocumentOptions): PortForward {
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

async function prepare(
  portForward: PortForward,
  documents: readonly FileDocument[],
  options: DocumentOptions,
  signal: AbortSignal,
): Promise<DocumentTunnel> {
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
  const keys = secretKeysOf(spec);
  const { readSecret } = options;
  const cluster = options.context === undefined ? undefined : await clusterOf(options.context, signal);
  const namespace = metadata.namespace ?? cluster?.namespace;
  const secrets = await provideSecrets(
    { namespace, names, keys },
    {
      given: options.secrets,
      files: options.secretFiles,
      documents,
      folder: options.secretsFolder,
      fromCluster:
        readSecret === undefined
          ? cluster && ((name) => cluster.read(namespace ?? 'default', name))
          : (name) => readSecret(name, keys),
    },
  );
  const config = tunnelConfigOf(
    { spec, metadata: { ...metadata, ...defined({ namespace }) } },
    {
      directoryOf: (name) => secrets.get(name)?.directory ?? '',
      listenPortOf: (port) => ports.get(port) ?? port,
      memoryDirectory: '',
    },
  );
  return { config, secrets, keys };
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
