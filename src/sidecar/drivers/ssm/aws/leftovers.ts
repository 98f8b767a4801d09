// Sessions that this pod left behind when its container ended without closing them: they stay in the account's list, and on the node, until
// their idle timeout. A session is ours if its reason carries our pod's UID, as those of a walk of `doctor` do, and a leftover if this
// process did not start it. Sessions of other pods are never touched. Neighbours: driver.ts runs it once the first session is open, api.ts asks AWS.
import { TunnelError } from '../../../../contract/errors.ts';
import { type Clock, sleep } from '../../../../process/clock.ts';
import type { Logger } from '../../../../process/log.ts';
import { isOfEarlierWalk } from '../../../base/walker.ts';
import type { SsmApi } from './api.ts';

export interface LeftoversOptions {
  readonly api: Pick<SsmApi, 'activeSessions' | 'terminateSession'>;
  /** What all sessions of this pod, and no others, were started with. */
  readonly reason: string;
  /** The node that is asked about; undefined: all. */
  readonly target: string | undefined;
  /** Resolves once every session that is being started now has been passed to `started`. */
  readonly startsSettled: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

const attempts = 5;
const pauseMs = 30_000;

export class Leftovers {
  readonly #options: LeftoversOptions;
  /** Sessions that this process started; undefined once the leftovers are ended and nobody asks any more. */
  #own: Set<string> | undefined = new Set();
  #ending: Promise<void> | undefined;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /** This process has started the session: it is no leftover. */
  started(sessionId: string): void {
    this.#own?.add(sessionId);
  }

  /** Begins to end the leftovers; only the first call has an effect. Transient failures are retried, a missing permission is logged once. */
  end(signal: AbortSignal): void {
    this.#ending ??= this.#end(signal).finally(() => {
      this.#own = undefined;
    });
  }

  /** Resolves when nothing is in progress; never rejects. */
  async settled(): Promise<void> {
    await this.#ending;
  }

  async #end(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#endAll(signal);
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

  async #endAll(signal: AbortSignal): Promise<void> {
    const { api, reason, target, startsSettled, log } = this.#options;
    const listed = await api.activeSessions(target, signal);
    // A session that was being started when the list was made may be on it, and is known only now.
    await startsSettled(signal);
    for (const { sessionId, reason: theirs } of listed) {
      const isOurs = theirs === reason || isOfEarlierWalk(reason, theirs);
      if (!isOurs || this.#own?.has(sessionId) === true) continue;
      await api.terminateSession(sessionId, signal);
      log.info({ sessionId }, 'a session of an earlier start of this pod was ended');
    }
  }
}
