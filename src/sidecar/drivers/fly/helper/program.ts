// Where the helper's program is. Neighbours: driver.ts starts it, scripts/build.ts puts it there.
import { dirname, join } from 'node:path';

export const helperName = 'portforward-fly-helper';

/** Beside our own executable, as the build lays them; PORTFORWARD_FLY_HELPER names another one. */
export function helperProgramOf(environment: Readonly<Record<string, string | undefined>>): string {
  return environment['PORTFORWARD_FLY_HELPER'] ?? join(dirname(process.argv[1] ?? ''), helperName);
}
