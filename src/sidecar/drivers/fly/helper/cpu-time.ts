// How much CPU time a process has used: one that works is not hung, although it may answer late on a busy machine or under a limit.
// Neighbour: helper-process.ts judges a helper that does not answer.
import { readFileSync } from 'node:fs';

/** In ticks of 10 ms, of all threads; undefined where the system does not tell, and once the process is gone. */
export function cpuTicks(pid: number | undefined): number | undefined {
  try {
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th number after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return Number.isNaN(ticks) ? undefined : ticks;
  } catch {
    return undefined;
  }
}
