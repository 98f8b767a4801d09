// The addresses of the names in an organization's network, as short-lived as fly.io's own answers: Machines come and go. A burst of connections
// asks once, and a question that is lost in a full tunnel does not cost a connection whose answer was known a moment ago.
// Neighbours: session.ts dials them, helper/helper-process.ts asks.
import { isIP } from 'node:net';
import { abortable } from '../../../process/abort.ts';
import type { Clock } from '../../../process/clock.ts';
import { HelperError } from './helper/helper-error.ts';

/** Asks the network's name server once. @throws HelperError of kind notFound, nameServer or timeout */
type Ask = (host: string, timeoutMs: number) => Promise<readonly string[]>;

/** fly.io's answers live for 5 s. */
const freshMs = 2_000;
/** What is used when nobody answers now. */
const staleMs = 60_000;
/** One lost packet must not cost the whole time. */
const tries = 3;
const tryMs = 1_500;
/** Names come from the document: there are few. */
const maxNames = 64;

export class Addresses {
  readonly #ask: Ask;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly addresses: readonly string[]; readonly at: number }>();
  readonly #asking = new Map<string, Promise<readonly string[]>>();

  constructor(ask: Ask, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** At least one address. @throws what the last try threw, or the signal's reason */
  async of(host: string, signal: AbortSignal): Promise<readonly string[]> {
    if (isIP(host) === 6) return [host];
    const known = this.#known.get(host);
    if (known !== undefined && this.#clock.now() - known.at < freshMs) return known.addresses;
    const asking = this.#asking.get(host) ?? this.#begin(host);
    return await abortable(asking, { signal });
  }

  /** None of them could be dialled: the next connection asks anew. */
  forget(host: string): void {
    this.#known.delete(host);
  }

  #begin(host: string): Promise<readonly string[]> {
    const asking = this.#answerOf(host).finally(() => this.#asking.delete(host));
    this.#asking.set(host, asking);
    // Whoever waits for it may have left.
    asking.catch(() => undefined);
    return asking;
  }

  async #answerOf(host: string): Promise<readonly string[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const addresses = await this.#ask(host, tryMs);
        if (this.#known.size >= maxNames) this.#known.clear();
        this.#known.set(host, { addresses, at: this.#clock.now() });
        return addresses;
      } catch (error) {
        const lost = error instanceof HelperError && error.kind === 'timeout';
        if (lost && attempt < tries) continue;
        const known = this.#known.get(host);
        if (lost && known !== undefined && this.#clock.now() - known.at < staleMs) return known.addresses;
        this.#known.delete(host);
        throw error;
      }
    }
  }
}
