// The end of a session, in its order: first whoever uses it is told, then everything here is given up, and the service hears of it unless
// the end came from there. Neighbour: data-channel.ts, whose end it is.
import type { TunnelError } from '../../../../contract/errors.ts';
import type { SocketOpenerOptions } from './socket-opener.ts';

/** How long a goodbye may take: the agent drains up to 2 s. */
const goodbyeMs = 3_000;
const terminateMs = 5_000;

export class Termination {
  readonly #options: Pick<SocketOpenerOptions, 'api' | 'clock' | 'log'>;
  readonly #sessionId: string;
  readonly #lost = new AbortController();
  #over = false;
  #onOver: (() => void) | undefined;
  #terminated: Promise<void> | undefined;

  constructor(options: Pick<SocketOpenerOptions, 'api' | 'clock' | 'log'>, sessionId: string) {
    this.#options = options;
    this.#sessionId = sessionId;
  }

  /** Aborts, with a TunnelError, once nothing will come any more, and before the streams end. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** True once everything is given up; follows the signal, at once unless we say goodbye. */
  get over(): boolean {
    return this.#over;
  }

  /** Tells that nothing will come any more; the first reason counts. */
  announce(reason: TunnelError): void {
    this.#lost.abort(reason);
  }

  /** Marks that everything is given up. `tellService`: it does not know of the end. */
  complete(tellService: boolean): void {
    const { api, log } = this.#options;
    this.#over = true;
    if (tellService) {
      // Else it stays in the account's list, and on the instance, until its idle timeout.
      this.#terminated = api
        .terminateSession(this.#sessionId, AbortSignal.timeout(terminateMs))
        .catch((error: unknown) => log.debug({ sessionId: this.#sessionId, error }, 'the session could not be ended'));
    }
    this.#onOver?.();
  }

  /** Resolves when the service has closed the channel, which it does once the agent has ended its side; after 3 s at the latest. */
  async goodbye(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(goodbyeMs, resolve);
      this.#onOver = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Resolves when the service was told, or could not be. */
  async told(): Promise<void> {
    await this.#terminated;
  }
}
