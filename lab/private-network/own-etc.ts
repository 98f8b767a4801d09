// An /etc of its own for one server: some files, laid over the machine's /etc as a whole. A file that is laid over a single name is
// gone as soon as another program renames that file, as useradd does with /etc/passwd.
// Neighbours: sshd.ts has its user and its names this way.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface OwnFile {
  readonly content: string;
  /** Default: 0644. */
  readonly mode?: number;
}

/** Writes the files below `directory` and returns the shell command that mounts them, read-only. It is for a mount namespace that ends with the server. */
export function ownEtc(directory: string, files: Readonly<Record<string, OwnFile>>): string {
  const etc = join(directory, 'etc');
  for (const [name, { content, mode = 0o644 }] of Object.entries(files)) {
    mkdirSync(dirname(join(etc, name)), { recursive: true });
    writeFileSync(join(etc, name), content, { mode });
  }
  return `mount -t overlay overlay -o lowerdir=${etc}:/etc /etc`;
}
