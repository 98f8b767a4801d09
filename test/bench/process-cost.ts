// What a tunnel’s process costs with its children, as the kernel counts it. Neighbour: visit.ts reads it before and after.
import { readdirSync, readFileSync } from 'node:fs';
import { descendantsOf } from '../../lab/process/proc.ts';

/** fly's helper works beside the sidecar; the others have no children. */
const withChildren = (pid: number): readonly number[] => [pid, ...descendantsOf(pid)];
const sum = (all: readonly number[]): number => all.reduce((before, one) => before + one, 0);

/** CPU seconds of all living threads, in nanosecond resolution (/proc/<pid>/stat has 10 ms). */
export function cpuSeconds(pid: number): number {
  const threads = withChildren(pid).flatMap((one) =>
    readdirSync(`/proc/${one}/task`).map((thread) => `/proc/${one}/task/${thread}/schedstat`),
  );
  return sum(threads.map((file) => Number(readFileSync(file, 'utf8').split(' ')[0]))) / 1e9;
}

export interface Memory {
  /** Resident, in MiB. */
  readonly rss: number;
  /** The same with shared pages divided by their users, in MiB. */
  readonly pss: number;
}

export function memory(pid: number): Memory {
  const all = withChildren(pid).map((one) => readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'));
  const mebibytes = (name: string): number =>
    sum(all.map((text) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024));
  return { rss: mebibytes('Rss'), pss: mebibytes('Pss') };
}
