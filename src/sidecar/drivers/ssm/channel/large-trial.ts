// One message of 16 KiB without effect, on a channel that carries no client yet: whether it is carried and acknowledged. One that is not
// would be repeated until the channel ends, so the channel is of no use after that.
// Neighbours: ../data-channel.ts makes it, ../message-sizes.ts remembers the result for the node.
import type { TunnelError } from '../../../../contract/errors.ts';
import { onAbort } from '../../../../process/abort.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { StreamMultiplexer } from '../base/stream-multiplexer.ts';
import type { MessageLink } from './message-link.ts';
import { largePayload } from './outbox.ts';
import { payloadType } from './payload.ts';

/** The agent has just answered, so it needs one round trip; a message that was lost is repeated several times in this time. */
const limitMs = 4_000;

export class LargeTrial {
  readonly #settled = Promise.withResolvers<boolean>();
  #isCarried: (() => boolean) | undefined;

  constructor() {
    // It may fail before anyone waits for it.
    this.#settled.promise.catch(() => undefined);
  }

  /** False if it was not acknowledged in time or the channel was lost by it. @throws TunnelError of another end, or the signal's reason */
  async run(
    link: Pick<MessageLink, 'sendNow' | 'mark'>,
    multiplexer: StreamMultiplexer,
    { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  ): Promise<boolean> {
    const payload = Buffer.alloc(largePayload);
    multiplexer.padding(payload);
    link.sendNow({ type: payloadType.output, payload });
    this.#isCarried = link.mark();
    const cancel = clock.after(limitMs, () => this.#settled.resolve(false));
    using _ = onAbort(signal, this.#settled.reject);
    try {
      return await this.#settled.promise;
    } finally {
      cancel();
    }
  }

  /** The agent acknowledged something. */
  acknowledged(): void {
    if (this.#isCarried?.() === true) this.#settled.resolve(true);
  }

  /** The socket or the channel is lost; another end than that has its own reason. */
  lost(error?: TunnelError): void {
    if (error === undefined || error.code === 'BastionLost') this.#settled.resolve(false);
    else this.#settled.reject(error);
  }
}
