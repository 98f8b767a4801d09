// The documented keys of one Secret as files in a directory: read together, and watched for changes. The kubelet replaces the whole set
// with one symbolic link (`..data`); on a laptop single files change, or the directory is one of memory-secrets.ts.
// Neighbours: contract/secret-keys.ts lists the keys;
// drivers/ssh/login/credentials.ts and drivers/ssm/aws/static-credentials.ts interpret the content.
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { memorySecret } from './memory-secrets.ts';

export interface SecretFiles<Key extends string> {
  /** False if there is no such directory: the Secret does not exist (yet). */
  readonly exists: boolean;
  readonly files: Readonly<Partial<Record<Key, string>>>;
  /** Keys whose file is there, but may not be read by this user. */
  readonly unreadable: readonly Key[];
  /** Equal for equal content. */
  readonly digest: string;
}

/** Larger files are ignored: keys and certificates are a few KiB, known_hosts of a fleet some hundred. */
const maxFileBytes = 1024 * 1024;

const debounceMs = 200;

/** Inotify misses some changes (a directory created later, network file systems), so content is compared as well. */
const pollMs = 500;

/** Reads these keys, and no other file, as one consistent set. Never throws: a file that cannot be read is absent. */
export async function readSecretFiles<Key extends string>(
  directory: string,
  keys: readonly Key[],
): Promise<SecretFiles<Key>> {
  const memory = memorySecret(directory);
  const exists =
    memory !== undefined ||
    (await stat(directory).then(
      (entry) => entry.isDirectory(),
      () => false,
    ));
  // Resolved once, so that a swap between two files cannot mix two versions.
  const data = await realpath(join(directory, '..data')).catch(() => directory);
  const files: Partial<Record<Key, string>> = {};
  const unreadable: Key[] = [];
  const hash = createHash('sha256').update(String(exists));
  for (const key of keys) {
    const place = memory === undefined ? join(data, key) : memory.get(key);
    const text = typeof place === 'string' ? await readSmallFile(place) : place?.toString();
    if (text === noPermission) {
      unreadable.push(key);
      hash.update(`\0${key}\0unreadable`);
      continue;
    }
    if (text === undefined) continue;
    files[key] = text;
    hash.update(`\0${key}\0${text}`);
  }
  return { exists, files, unreadable, digest: hash.digest('base64') };
}

const noPermission = Symbol('may not be read');

async function readSmallFile(path: string): Promise<string | typeof noPermission | undefined> {
  try {
    const { size } = await stat(path);
    return size <= maxFileBytes ? await readFile(path, 'utf8') : undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'EACCES' || code === 'EPERM' ? noPermission : undefined;
  }
}

/** Calls back after each change of the content: within about 0.3 s if the file system reports it, else 0.5 s. Returns the unsubscribe. */
export function watchSecretFiles(directory: string, keys: readonly string[], changed: () => void): () => void {
  let stopped = false;
  let watcher: FSWatcher | undefined;
  let debounce: NodeJS.Timeout | undefined;
  let comparing: Promise<void> = Promise.resolve();
  let known: string | undefined;

  const compare = () => {
    comparing = comparing.then(async () => {
      if (stopped) return;
      const { digest, exists } = await readSecretFiles(directory, keys);
      if (stopped) return;
      if (exists && watcher === undefined) listen();
      const before = known;
      known = digest;
      if (before !== undefined && before !== digest) changed();
    });
  };
  const listen = () => {
    try {
      watcher = watch(directory, { persistent: false }, () => {
        clearTimeout(debounce);
        debounce = setTimeout(compare, debounceMs).unref();
      });
      watcher.on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // The directory does not exist yet, or no inotify instance is left: polling is enough.
    }
  };
  listen();
  compare();
  const poll = setInterval(compare, pollMs).unref();
  return () => {
    stopped = true;
    clearInterval(poll);
    clearTimeout(debounce);
    watcher?.close();
  };
}
