// Whether a session that a dial waits for is silent (docs/promises.md, promise 4). An idle session is silent too, so it is asked for a sign
// of life before its silence counts. Neighbours: dialer.ts tries another session then, and carriers.ts takes the engine's dials back; a
// driver's own watch, far slower, ends a session.
import { type Clock, sleep } from '../../process/clock.ts';
import type { Session } from '../base/driver.ts';

/** So long nothing arrived, and so long a question of ours has been waiting, before a session counts as silent. */
const silentMs = 2_000;
export const unansweredMs = 1_000;
/** Two turns of the timer lie between question and verdict: if this process stood still, what arrived meanwhile is read between them. */
export const stepMs = 500;

/** True if something has arrived within that time. */
export const spokeWithin = (session: Session, ms: number): boolean => (session.silentMs ?? 0) < ms;

/** Judges one session, looked at every `stepMs` while a dial waits on it. */
export class Silence {
  #askedAt: number | undefined;

  /** The time since the question once the silence counts; undefined before. `ask` is called when the session should be asked. */
  judge(session: Session, now: number, ask: () => void): number | undefined {
    if (spokeWithin(session, unansweredMs)) this.#askedAt = undefined;
    else if (this.#askedAt === undefined) {
      this.#askedAt = now;
      ask();
    } else if (!spokeWithin(session, silentMs) && now - this.#askedAt >= unansweredMs) return now - this.#askedAt;
    return undefined;
  }
}

/**
 * Resolves once the session has been silent for 2 s and has left a question unanswered for one, with the milliseconds since the question.
 * `ask` is called when it should be asked. Goes on until then. @throws the signal's reason
 */
export async function untilSilent(
  session: Session,
  { clock, signal, ask }: { readonly clock: Clock; readonly signal: AbortSignal; readonly ask: () => void },
): Promise<number> {
  const silence = new Silence();
  for (;;) {
    await sleep(stepMs, { signal, clock });
    const askedForMs = silence.judge(session, clock.now(), ask);
    if (askedForMs !== undefined) return askedForMs;
  }
}
