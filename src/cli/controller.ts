// `portforward controller`: what the operator's Deployment runs. Its flags have their own table, so commander passes them on unread.
// Neighbours: ../controller/base/settings.ts (the flags), ../controller/main.ts (the work), ../process/run.ts (signals and exit).
import { flagsHelp, readSettings, type Settings } from '../controller/base/settings.ts';
import { heapBounds } from '../controller/heap.ts';
import { runController } from '../controller/main.ts';
import { boundGarbage } from '../process/heap.ts';
import { createLog } from '../process/log.ts';
import { run } from '../process/run.ts';
import { UsageError } from './usage-error.ts';

/** A stop that takes longer is cut short; the pod's grace period is 30 s. */
const stopDeadlineMs = 25_000;

/** Runs until SIGTERM and ends the process; lost leadership ends it with 1. @throws UsageError that names the wrong flags. */
export async function controller(args: readonly string[], print: (line: string) => void): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    print(`Usage: portforward controller [flags]\n\n${flagsHelp()}`);
    return;
  }
  const settings = settingsOf(args);
  const log = createLog({ level: settings.logLevel, fields: { component: 'controller' } });
  boundGarbage(heapBounds);
  await run((signal) => runController({ signal, settings, log }), { log, stopDeadlineMs });
}

function settingsOf(args: readonly string[]): Settings {
  try {
    return readSettings(args, process.env);
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
