// Whether a session that a dial waits for is silent (docs/promises.md, promise 4). An idle session is silent too, so it is asked for a sign
// of life before its silence counts. Neighbours: dialer.ts tries another session then; a driver's own watch, far slower, ends a session.
import { type Clock, sleep } from '../../process/clock.ts';
import type { Session } from '../base/driver.ts';

/** So long nothing arrived, and so long a question of ours has been waiting, before a session counts as silent. */
const silentMs = 2_000;
const unansweredMs = 1_000;
const stepMs = 500;

/** True if something has arrived within that time. */
export const spokeWithin = (session: Session, ms: number): boolean => (session.silentMs ?? 0) < ms;

/**
 * Resolves once the session has been silent for 2 s and has left a question unanswered for one, with the milliseconds since the question.
 * `ask` is called when it should be asked. Goes on until then. @throws the signal's reason
 */
export async function untilSilent(
  session: Session,
  { clock, signal, ask }: { readonly clock: Clock; readonly signal: AbortSignal; readonly ask: () => void },
): Promise<number> {
  let askedAt: number | undefined;
  for (;;) {
    // Two turns of the timer lie between question and verdict: if this process stood still, what arrived meanwhile is read between them.
    await sleep(stepMs, { signal, clock });
    const now = clock.now();
    if (spokeWithin(session, unansweredMs)) askedAt = undefined;
    else if (askedAt === undefined) {
      askedAt = now;
      ask();
    } else if (!spokeWithin(session, silentMs) && now - askedAt >= unansweredMs) return now - askedAt;
  }
}
