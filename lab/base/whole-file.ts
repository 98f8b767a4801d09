// A file that others read while it changes: they see its old content or its new one, never a part.
import { renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Writes beside it, in a hidden file of the same folder, and renames. */
export function writeWhole(file: string, content: string, mode = 0o644): void {
  const unfinished = join(dirname(file), `.${basename(file)}.unfinished`);
  writeFileSync(unfinished, content, { mode });
  renameSync(unfinished, file);
}
