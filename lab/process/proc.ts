// Reads the kernel's list of processes: which live, when they were started, whose children they are. A process id alone may have
// been given to another process since; with its start time it names exactly one process.
// Neighbours: kept-process.ts and lock.ts, and the bastions of the private network, which count sessions by it.
import { readdirSync, readFileSync } from 'node:fs';

interface Stat {
  readonly parent: number;
  readonly state: string;
  /** In clock ticks since boot, as text: only ever compared. */
  readonly started: string;
}

function stat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', parent: Number(fields[1]), started: fields[19] ?? '' };
}

/** When that process was started, or undefined if it does not live (a zombie does not). */
export function startedAt(pid: number): string | undefined {
  const found = stat(pid);
  return found === undefined || found.state === 'Z' || found.state === 'X' ? undefined : found.started;
}

/** When this very process was started. */
export const processStart = startedAt(process.pid) ?? '';

/** Who waits for its end, or undefined if there is no such process; a zombie has a parent, too. */
export function parentOf(pid: number): number | undefined {
  return stat(pid)?.parent;
}

/** The living children of a process, by number. */
export function childrenOf(pid: number): number[] {
  return processes().filter((one) => stat(one)?.parent === pid && startedAt(one) !== undefined);
}

/** All living descendants of a process, parents before children. */
export function descendantsOf(pid: number): number[] {
  const byParent = Map.groupBy(processes(), (one) => stat(one)?.parent ?? -1);
  const found: number[] = [];
  const visit = (parent: number): void => {
    for (const child of byParent.get(parent) ?? []) {
      if (startedAt(child) === undefined) continue;
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

/** Sends a signal and says whether the process was there to take it. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
