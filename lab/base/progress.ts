// Shows long steps as they go: a line when a step starts to be long, one every ten seconds while it lasts, one when it ends.
// Neighbours: every part that builds or waits takes a `Log` and hands it here.

/** Takes one line for a person, without its line end. */
export type Log = (line: string) => void;

/** Seconds since `started` (a value of `performance.now()`), for people. */
export function elapsed(started: number): string {
  const seconds = (performance.now() - started) / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Runs `work` and logs how long it took; every ten seconds it says that it is still at it. What `work` throws passes through. */
export async function step<Result>(log: Log, what: string, work: () => Promise<Result>): Promise<Result> {
  const started = performance.now();
  const reminder = setInterval(() => log(`  … ${what} (${elapsed(started)})`), 10_000);
  try {
    const result = await work();
    log(`  ✓ ${what} (${elapsed(started)})`);
    return result;
  } catch (error) {
    log(`  ✗ ${what} (${elapsed(started)})`);
    throw error;
  } finally {
    clearInterval(reminder);
  }
}
