// The Secrets of a document on this machine, each as a directory of files, as a pod would have them mounted. The user's own folders and files
// are used in place, so that a changed key is noticed. Secrets from manifests or a cluster stay in the memory of this process.
// Neighbours: open.ts, cluster-secrets.ts, contract/secrets.ts (which Secrets and keys), sidecar/base/memory-secrets.ts.
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { keepInMemory, type MemorySecret } from '../sidecar/base/memory-secrets.ts';
import type { FileDocument } from './documents.ts';
import { UsageError } from './usage-error.ts';

/** Key → content. */
export type SecretData = ReadonlyMap<string, Buffer>;

export interface SecretSources {
  /** `NAME=DIR` or, for a private key alone, `NAME=FILE`. */
  readonly given: readonly string[];
  /** Secret → key → file of this machine. */
  readonly files?: ReadonlyMap<string, ReadonlyMap<string, string>> | undefined;
  /** A directory with a folder for each Secret. */
  readonly folder?: string | undefined;
  /** Every document of the files; Secret manifests among them are used. */
  readonly documents: readonly FileDocument[];
  /** Asked last. Default: no cluster is asked. */
  readonly fromCluster?: ((name: string) => Promise<SecretData>) | undefined;
}

export interface WantedSecrets {
  readonly namespace: string | undefined;
  readonly names: readonly string[];
  /** Only these keys are written. */
  readonly keys: readonly string[];
}

export interface LocalSecret {
  readonly directory: string;
  /** Its source, for sentences: `the folder /home/me/keys`. */
  readonly origin: string;
  readonly hasKey: (key: string) => boolean;
}

/** Provides each Secret, by its name. @throws UsageError that names a Secret without any source, and the options that would give one. */
export async function provideSecrets(
  { namespace, names, keys }: WantedSecrets,
  sources: SecretSources,
): Promise<ReadonlyMap<string, LocalSecret>> {
  const given = givenPaths(sources.given, names);
  const secrets = new Map<string, LocalSecret>();
  for (const name of names) {
    const path = given.get(name) ?? inFolder(sources.folder, name);
    if (path !== undefined) {
      // A single file is a private key alone.
      secrets.set(
        name,
        isDirectory(path) ? inPlace(path) : inMemory(new Map([['ssh-privatekey', path]]), `the file ${path}`),
      );
      continue;
    }
    const files = sources.files?.get(name);
    if (files !== undefined) {
      secrets.set(name, inMemory(files, `the file ${[...files.values()].join(' and ')}`));
      continue;
    }
    const manifest = manifestOf(sources.documents, name, namespace);
    const data = manifest ?? (await sources.fromCluster?.(name));
    if (data === undefined) {
      throw new UsageError(
        `the Secret ${name} is missing here: give --secret ${name}=DIRECTORY (files named ${keys.slice(0, 3).join(', ')}, …), ` +
          (sources.folder === undefined ? '' : `make the folder ${resolve(sources.folder, name)}, give `) +
          'a manifest of it with --filename, or --context with the cluster that has it',
      );
    }
    const wanted = new Map(keys.flatMap((key) => [[key, data.get(key)] as const]).filter(isPresent));
    secrets.set(name, inMemory(wanted, manifest === undefined ? 'the copy from the cluster' : 'its manifest'));
  }
  return secrets;
}

/** The problem of the first Secret that has none of the keys, and the fix; undefined if each Secret has at least one. */
export function emptySecretReason(
  secrets: ReadonlyMap<string, LocalSecret>,
  keys: readonly string[],
): string | undefined {
  for (const [name, { hasKey, origin }] of secrets) {
    if (keys.some(hasKey)) continue;
    return `${origin} has none of the keys of the Secret ${name} (${keys.join(', ')}): add ${keys[0]} there, or name another place with --secret ${name}=DIRECTORY`;
  }
  return undefined;
}

function givenPaths(given: readonly string[], names: readonly string[]): Map<string, string> {
  const paths = new Map<string, string>();
  for (const text of given) {
    const at = text.indexOf('=');
    // The shell does not expand ~ after =.
    const [name, path] = [text.slice(0, at), text.slice(at + 1).replace(/^~(?=\/|$)/, homedir())];
    if (at < 1 || path === '')
      throw new UsageError(`--secret ${text}: write NAME=DIRECTORY, or NAME=FILE for a private key alone`);
    if (!names.includes(name)) {
      throw new UsageError(
        `--secret ${name}: the document names ${names.length === 0 ? 'no Secret' : names.join(', ')}`,
      );
    }
    if (!exists(path)) throw new UsageError(`--secret ${name}: there is no ${path}`);
    paths.set(name, resolve(path));
  }
  return paths;
}

function inFolder(folder: string | undefined, name: string): string | undefined {
  if (folder === undefined) return undefined;
  if (!isDirectory(folder)) throw new UsageError(`--secrets-dir ${folder}: there is no such directory`);
  const path = resolve(folder, name);
  return isDirectory(path) ? path : undefined;
}

const inPlace = (path: string): LocalSecret => ({
  directory: path,
  origin: `the folder ${path}`,
  hasKey: (key) => exists(join(path, key)),
});

const inMemory = (files: MemorySecret, origin: string): LocalSecret => ({
  directory: keepInMemory(files),
  origin,
  hasKey: (key) => files.has(key),
});

const isPresent = (entry: readonly [string, Buffer | undefined]): entry is readonly [string, Buffer] =>
  entry[1] !== undefined;

/** The Secret of that name among the documents; if both name a namespace, it must be the same. */
function manifestOf(
  documents: readonly FileDocument[],
  name: string,
  namespace: string | undefined,
): SecretData | undefined {
  for (const { value } of documents) {
    const { apiVersion, kind, metadata, data, stringData } = (value ?? {}) as Manifest;
    if (apiVersion !== 'v1' || kind !== 'Secret' || metadata?.name !== name) continue;
    if (metadata.namespace !== undefined && namespace !== undefined && metadata.namespace !== namespace) continue;
    return dataOf(data ?? {}, stringData ?? {});
  }
  return undefined;
}

interface Manifest {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata?: { readonly name?: unknown; readonly namespace?: unknown } | null;
  readonly data?: Readonly<Record<string, string>> | null;
  readonly stringData?: Readonly<Record<string, string>> | null;
}

/** The content of a Secret: base64 in `data`; `stringData` wins, as in the API server. */
export function dataOf(
  data: Readonly<Record<string, string>>,
  stringData: Readonly<Record<string, string>> = {},
): SecretData {
  return new Map([
    ...Object.entries(data).map(([key, text]) => [key, Buffer.from(String(text), 'base64')] as const),
    ...Object.entries(stringData).map(([key, text]) => [key, Buffer.from(String(text))] as const),
  ]);
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
