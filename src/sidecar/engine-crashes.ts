// Whether the process of this pod crashed so often lately that it should go on without the native engine: a tunnel that is slower is better
// than one that is down. Process 1 of the image notes crashes: faults and aborts, not a kill from outside, nor one for want of memory.
// Neighbours: data-path.ts asks, ../process/init.c writes.
import { readFileSync } from 'node:fs';

/** As init.c names it: in a volume of the pod, which outlives the container. */
export const crashFile = '/tmp/portforward-crashes';

/** So many within that time keep the engine off. */
const maxCrashes = 3;
const withinMs = 10 * 60_000;

/** `file` has one line for each crash: seconds since 1970. A file that is not there, or broken, has none. */
export function crashedTooOften(file: string, now: Date): boolean {
  const ages = linesOf(file).map((line) => now.getTime() - Number(line) * 1000);
  // A second is as exact as they are. A clock that was set back is no reason.
  return ages.filter((age) => age > -1000 && age < withinMs).length >= maxCrashes;
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /^\d+$/.test(line));
  } catch {
    return [];
  }
}
