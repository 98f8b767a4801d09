// Process 1 of the image: one file of C, compiled without any library to load, so that it starts on every base.
// Neighbours: ../build.ts (for this machine), ../release.ts (for each architecture of a release), src/process/init.c (what it does).
import { join } from 'node:path';
import { command } from '../../lab/process/command.ts';

const source = join(import.meta.dirname, '..', '..', 'src', 'process', 'init.c');

/** As the Dockerfile's entry point names it. */
export const initName = 'portforward-init';

/** Writes the program into `folder`. The same source and compiler give the same bytes. @throws CommandFailed with the compiler's words */
export async function buildInit(folder: string, compiler = 'cc'): Promise<string> {
  const file = join(folder, initName);
  const flags = ['-std=gnu17', '-Os', '-static', '-s', '-Wall', '-Wextra', '-Werror', '-Wl,--build-id=none'];
  await command(compiler, [...flags, '-o', file, source], { timeoutMs: 60_000 });
  return file;
}
