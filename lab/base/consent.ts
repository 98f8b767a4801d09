// Whether a person agrees to what a command changes on the machine.
// Neighbours: cluster.ts and scripts/system-packages.ts list the changes.
import { createInterface } from 'node:readline/promises';
import type { Log } from './progress.ts';

/**
 * Shows the changes. On a terminal it asks then, and Enter means yes; with `yes`, or without a terminal, the call itself is the consent.
 */
export async function consents(
  what: string,
  changes: readonly string[],
  options: { readonly log: Log; readonly yes?: boolean; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const { log, yes = process.argv.includes('--yes'), signal } = options;
  log(what);
  for (const change of changes) log(`  - ${change}`);
  if (yes || !process.stdin.isTTY || !process.stderr.isTTY) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // While it reads, the terminal gives Ctrl-C to it alone.
  terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('no')));
  try {
    const answer = terminal.question('Go on? [Y/n] ', signal === undefined ? {} : { signal });
    return /^(y(es)?)?$/i.test((await Promise.race([answer, closed])).trim());
  } finally {
    terminal.close();
  }
}
