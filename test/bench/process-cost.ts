// What a process costs, as the kernel counts it. Neighbour: measure.ts reads it before and after.
import { readdirSync, readFileSync } from 'node:fs';

/** CPU seconds of all its living threads, in nanosecond resolution (/proc/<pid>/stat has 10 ms). */
export function cpuSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9;
}

export interface Memory {
  /** Resident, in MiB. */
  readonly rss: number;
  /** The same with shared pages divided by their users, in MiB. */
  readonly pss: number;
}

export function memory(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mebibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
  return { rss: mebibytes('Rss'), pss: mebibytes('Pss') };
}
