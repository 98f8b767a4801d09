// Where the programs are that scripts and tests start: on the PATH, or in the cache that the test cluster's builds fill.
// Neighbours: check.ts and test.ts; lab/programs builds what is missing.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cachedProgram } from '../base/places.ts';

/** The first executable of that name on the PATH, in the directories of administrators, or in the cache. */
export function findProgram(name: string, more: readonly string[] = []): string | undefined {
  const path = (process.env['PATH'] ?? '').split(delimiter);
  const directories = [...path, '/usr/sbin', '/sbin', ...more, cachedProgram('')];
  return directories
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, name))
    .find(executable);
}

/** The cache first: its version is the one that the chart is tested with. */
export function findHelm(): string | undefined {
  const cached = cachedProgram('helm');
  return executable(cached) ? cached : findProgram('helm');
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
