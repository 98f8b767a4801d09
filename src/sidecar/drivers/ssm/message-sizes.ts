// Which nodes take messages of 16 KiB. Every agent does, but what AWS's relay carries is not documented, and a message that it refuses is
// repeated until the session ends. So a node's first large message goes out on a session that carries no client yet, and what became
// of it is remembered here for the life of the process.
// Neighbours: channel-opener.ts asks and reports, data-channel.ts makes the trial, channel/outbox.ts makes the messages.
import type { Clock } from '../../../process/clock.ts';
import { largePayload, smallPayload } from './channel/outbox.ts';

/**
 * A refused trial is made again after so long, once more without clients: the cause may have been a network that broke at that moment. A
 * session that died with its clients soon after large messages is never tried again.
 */
const refusalHoldsMs = 6 * 60 * 60_000;

type Known =
  | { readonly state: 'trying' | 'large' }
  | { readonly state: 'refused'; readonly at: number }
  | { readonly state: 'deadly' };

export class MessageSizes {
  readonly #clock: Clock;
  readonly #nodes = new Map<string, Known>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True if large messages may be sent to the node. Ask before each: it changes for open sessions too. */
  large(target: string): boolean {
    return this.#nodes.get(target)?.state === 'large';
  }

  /** The largest message that the node is sent now, in bytes. */
  bytes(target: string): number {
    return this.large(target) ? largePayload : smallPayload;
  }

  /** Begins a trial on a session without clients, if one is due; the caller then reports how it went. */
  beginTrial(target: string): boolean {
    const known = this.#nodes.get(target);
    const isDue = known === undefined || (known.state === 'refused' && this.#clock.now() - known.at >= refusalHoldsMs);
    if (isDue) this.#nodes.set(target, { state: 'trying' });
    return isDue;
  }

  /** `undefined`: it says nothing about the size. */
  endTrial(target: string, taken: boolean | undefined): void {
    if (this.#nodes.get(target)?.state !== 'trying') return;
    if (taken === undefined) this.#nodes.delete(target);
    else this.#nodes.set(target, taken ? { state: 'large' } : { state: 'refused', at: this.#clock.now() });
  }

  /** A session of the node died soon after it was sent large messages. */
  died(target: string): void {
    this.#nodes.set(target, { state: 'deadly' });
  }
}
