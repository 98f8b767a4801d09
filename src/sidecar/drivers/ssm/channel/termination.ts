// The end of a data channel, in order: announce it to the users, give up everything here, and terminate the session at the service unless
// it ended the channel itself. Neighbour: data-channel.ts, whose end it is.
import type { TunnelError } from '../../../../contract/errors.ts';
import { onAbort } from '../../../../process/abort.ts';
import { deadline } from '../../../../process/deadline.ts';
import type { SocketOpenerOptions } from './socket-opener.ts';

/** The longest wait for the agent after our goodbye: it drains up to 2 s. */
const goodbyeMs = 3_000;
const terminateMs = 5_000;

type TerminationOptions = Pick<SocketOpenerOptions, 'api' | 'clock' | 'log'>;

export class Termination {
  readonly #options: TerminationOptions;
  readonly #sessionId: string;
  readonly #lost = new AbortController();
  readonly #complete = new AbortController();
  #report: Promise<void> | undefined;

  constructor(options: TerminationOptions, sessionId: string) {
    this.#options = options;
    this.#sessionId = sessionId;
  }

  /** Aborts, with a TunnelError, once nothing will come any more, and before the streams end. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** True once everything is given up: together with the signal, or after our goodbye. */
  get over(): boolean {
    return this.#complete.signal.aborted;
  }

  /** Nothing will come any more; only the first reason counts. */
  announce(reason: TunnelError): void {
    this.#lost.abort(reason);
  }

  /** Everything is given up. `serviceKnows`: the service ended the channel itself. */
  complete(serviceKnows: boolean): void {
    this.#complete.abort();
    if (!serviceKnows) this.#report = this.#tellService();
  }

  /** Resolves when the service has closed the channel, which it does once the agent has ended its side; after 3 s at the latest. */
  async goodbye(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(goodbyeMs, resolve);
    using _ = onAbort(this.#complete.signal, () => resolve());
    await promise;
    cancel();
  }

  /** Resolves when the service was told, or could not be. */
  async reported(): Promise<void> {
    await this.#report;
  }

  /** Otherwise the session stays in the account's list, and on the node, until its idle timeout. */
  async #tellService(): Promise<void> {
    const { api, log } = this.#options;
    using limit = deadline(terminateMs, { what: 'the end of the session' });
    try {
      await api.terminateSession(this.#sessionId, limit.signal);
    } catch (error) {
      log.debug({ sessionId: this.#sessionId, error }, 'the session could not be ended');
    }
  }
}
