// What a tunnel’s process costs with its children, as the kernel counts it. Neighbour: visit.ts reads it before and after.
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { descendantsOf } from '../../lab/process/proc.ts';

/** fly's helper works beside the sidecar; the others have no children. */
const withChildren = (pid: number): readonly number[] => [pid, ...descendantsOf(pid)];
const sum = (all: readonly number[]): number => all.reduce((before, one) => before + one, 0);

/** CPU seconds of each living descendant, by the name of its program or script, the largest first. */
export function cpuByProgram(pid: number): readonly (readonly [name: string, seconds: number])[] {
  const found = new Map<string, number>();
  for (const one of descendantsOf(pid)) {
    const [program = '', ...args] = readFileSync(`/proc/${one}/cmdline`, 'utf8').split('\0');
    const script = args.find((argument) => /\.c?[jt]s$/.test(argument));
    const name = basename(script ?? program);
    found.set(name, (found.get(name) ?? 0) + ownCpuSeconds(one));
  }
  return [...found].toSorted(([, a], [, b]) => b - a);
}

/** CPU seconds of all living threads, in nanosecond resolution (/proc/<pid>/stat has 10 ms). */
export function cpuSeconds(pid: number): number {
  return sum(withChildren(pid).map(ownCpuSeconds));
}

function ownCpuSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`);
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

/** The most that was ever resident of this one process, in MiB: what a limit of memory must allow. */
export function peakMemory(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
