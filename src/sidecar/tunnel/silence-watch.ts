// Whether a session that a dial waits for is silent (docs/promises.md, promise 4). An idle session is silent too, so it is asked for a sign
// of life before its silence counts. Neighbours: dialer.ts tries another session then; a driver's own watch, far slower, ends a session.
import { type Clock, sleep } from '../../process/clock.ts';
import type { Session } from '../base/driver.ts';

/** So long nothing arrived, and so long a question of ours has been waiting, before a session counts as silent. */
const silentMs = 2_000;
const unansweredMs = 1_000;
const stepMs = 500;

/** True if nothing has arrived for 2 s. */
export function isSilent(session: Session): boolean {
  return (session.silentMs ?? 0) >= silentMs;
}

/**
 * Resolves once the session has been silent for 2 s and has left a question unanswered for one. `ask` is called when it should be asked.
 * Goes on until then. @throws the signal's reason
 */
export async function untilSilent(
  session: Session,
  { clock, signal, ask }: { readonly clock: Clock; readonly signal: AbortSignal; readonly ask: () => void },
): Promise<void> {
  let askedAt: number | undefined;
  for (;;) {
    // Two turns of the timer lie between question and verdict: if this process stood still, what arrived meanwhile is read between them.
    await sleep(stepMs, { signal, clock });
    const now = clock.now();
    if ((session.silentMs ?? 0) < unansweredMs) askedAt = undefined;
    else if (askedAt === undefined) {
      askedAt = now;
      ask();
    } else if (isSilent(session) && now - askedAt >= unansweredMs) return;
  }
}
