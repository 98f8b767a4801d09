// The driver’s helper, built from its sources in the repository. Neighbours: the tests of this folder.
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { goProgram } from '../../support/go-program.ts';

export async function flyHelper(): Promise<string> {
  const directory = join(import.meta.dirname, '../../../src/sidecar/drivers/fly/helper');
  return await goProgram({ name: 'fly-helper', directory, package: '.' });
}

/** Sends the signal to every helper that this process has started. */
export function signalHelpers(signal: NodeJS.Signals): void {
  for (const pid of helperPids()) process.kill(pid, signal);
}

export function helperPids(): readonly number[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.filter((pid) => pid > 0 && programOf(pid).includes('fly-helper'));
}

function programOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // It ended meanwhile.
    return '';
  }
}
