// Hears SIGTERM before anything else is loaded, so that a stop in these moments ends the process with its log and exit code. Before that the
// signal ends Node by itself, because process 1 of the image is another program.
// Neighbours: init.c (process 1), src/main.ts imports this first, run.ts takes over.

interface Early {
  heard: boolean;
  readonly remember: () => void;
}

/** The commands that keep running and call `run`; every other one ends by itself, and a signal may end it as always. */
const keepsRunning = new Set(['controller', 'sidecar']);

/** The bundle of each command has its own copy of this module: what one has heard, all must know. */
const place = globalThis as { [key: symbol]: Early | undefined };
const key = Symbol.for('portforward.dev/early-signals');

export function listenEarly(command: string | undefined): void {
  if (!keepsRunning.has(command ?? '') || place[key] !== undefined) return;
  const early: Early = { heard: false, remember: () => void (early.heard = true) };
  place[key] = early;
  process.on('SIGTERM', early.remember);
}

/** Ends the early listening, after `run` has begun its own. True if SIGTERM came before. */
export function heardEarly(): boolean {
  const early = place[key];
  if (early === undefined) return false;
  process.off('SIGTERM', early.remember);
  return early.heard;
}

listenEarly(process.argv[2]);
