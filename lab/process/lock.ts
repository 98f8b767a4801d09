// One holder at a time among processes: builds into the cache and changes of a cluster are done by one and awaited by the others.
// Neighbours: programs.ts, images.ts, host-cluster.ts, dns.ts.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStart, startedAt } from './proc.ts';

/** Takes the lock if no living process holds it; returns what gives it back, or undefined. */
export function tryLock(file: string): (() => void) | undefined {
  mkdirSync(dirname(file), { recursive: true });
  if (!take(file) && (holderOf(file) !== undefined || !take(file))) return undefined;
  return () => rmSync(file, { force: true });
}

/** Runs `work` while this process alone holds `file`. A holder that died has lost it. Waits as long as the holder lives, or until `signal`. */
export async function withLock<Result>(
  file: string,
  work: () => Promise<Result>,
  options: { readonly signal?: AbortSignal; readonly onWait?: (holder: number) => void } = {},
): Promise<Result> {
  mkdirSync(dirname(file), { recursive: true });
  let told = false;
  while (!take(file)) {
    const holder = holderOf(file);
    if (holder !== undefined && !told) {
      told = true;
      options.onWait?.(holder);
    }
    await delay(holder === undefined ? 20 : 200, undefined, options.signal === undefined ? {} : options);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function take(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid} ${processStart}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** The living holder's process id; a dead holder's file is removed. */
function holderOf(file: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  // Empty: created this instant and not yet written.
  if (text === '') return undefined;
  const [pid, started] = text.split(' ');
  if (startedAt(Number(pid)) === started) return Number(pid);
  removeStale(file, text);
  return undefined;
}

/** Another waiter may have removed it and taken the lock since it was read: a lock that turns out to be new is put back. */
function removeStale(file: string, text: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') !== text) linkSync(aside, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error;
  }
  rmSync(aside, { force: true });
}
