// Sessions that this pod left behind when its container ended without a goodbye: they stay in the account's list, and on the node, until
// their idle timeout. A session is ours if its reason carries our pod's UID, and a leftover if we do not know it. Never a sibling's.
// Neighbours: driver.ts runs it once after the first session is open, api.ts asks AWS.
import { TunnelError } from '../../../../contract/errors.ts';
import { type Clock, sleep } from '../../../../process/clock.ts';
import type { Logger } from '../../../../process/log.ts';
import type { SsmApi } from './api.ts';

export interface LeftoversOptions {
  readonly api: Pick<SsmApi, 'activeSessions' | 'terminateSession'>;
  /** What all sessions of this pod, and no others, were started with. */
  readonly reason: string;
  /** The node or container that is asked about; undefined for all. */
  readonly target: string | undefined;
  /** Whether this process started the session. */
  readonly isKnown: (sessionId: string) => boolean;
  /** Resolves once every session that is being started now is known. */
  readonly startsSettled: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

const attempts = 5;
const pauseMs = 30_000;

/** Ends the leftovers. Tries again what fails for a time; a missing permission is told once and ends it. Never rejects. */
export async function endLeftovers(options: LeftoversOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await endAll(options, signal);
    } catch (error) {
      if (signal.aborted) return;
      const permanent = !(error instanceof TunnelError) || error.permanent;
      if (permanent || attempt === attempts) {
        log.info(
          { error },
          'sessions of an earlier start of this pod are not looked for; they end by their idle timeout',
        );
        return;
      }
      log.debug({ error, attempt }, 'sessions of an earlier start of this pod could not be ended yet');
    }
    await sleep(pauseMs, { signal, clock }).catch(() => undefined);
    if (signal.aborted) return;
  }
}

async function endAll({ api, reason, target, isKnown, startsSettled, log }: LeftoversOptions, signal: AbortSignal) {
  const listed = await api.activeSessions(target, signal);
  // One that was being started when the list was made may be on it, and is known only now.
  await startsSettled();
  for (const { sessionId, reason: theirs } of listed) {
    if (theirs !== reason || isKnown(sessionId)) continue;
    await api.terminateSession(sessionId, signal);
    log.info({ sessionId }, 'a session of an earlier start of this pod was ended');
  }
}
