// Secrets that this process holds in its memory, under names that stand for directories: on a laptop, what came from a cluster or a manifest
// is never written anywhere, so nothing of it is left however the process ends. A file of the person is only named, and read again when it
// changes. Neighbours: secret-files.ts reads them like directories, cli/local-secrets.ts keeps them.
import { randomUUID } from 'node:crypto';

/** Key → content, or the path of a file of the person. */
export type MemorySecret = ReadonlyMap<string, Buffer | string>;

const kept = new Map<string, MemorySecret>();

/** Keeps a Secret for as long as the process lives; gives what a config names as its directory. */
export function keepInMemory(files: MemorySecret): string {
  const directory = `memory:${randomUUID()}`;
  kept.set(directory, files);
  return directory;
}

/** Undefined for a directory of the file system. */
export const memorySecret = (directory: string): MemorySecret | undefined => kept.get(directory);
