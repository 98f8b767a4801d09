// Counts how often the agent in a row could not connect to the destination. Two refusals call for a fresh channel, because the agent
// resolves a name once per channel and the name may point elsewhere by now. Neighbour: renewing-channel.ts.
import { TunnelError } from '../../../contract/errors.ts';
import { Backoff } from '../../../process/backoff.ts';
import type { PortStream } from './base/port-stream.ts';

const maxRefusals = 2;
/** The least time between two fresh channels because of refusals; a failover is still noticed within 30 s. */
const pauses = { initialMs: 15_000, maxMs: 24_000, jitter: 0.3 };

export class RefusalCount {
  readonly #pause: Backoff;
  #count = 0;
  #ignoredUntil = 0;

  constructor(random: () => number) {
    this.#pause = new Backoff({ ...pauses, random });
  }

  /** Counts the stream when it closes; `onRefusal` is called if the agent refused it. */
  watch(stream: PortStream, onRefusal: () => void): void {
    stream.once('close', () => {
      const { errored } = stream;
      if (errored instanceof TunnelError && errored.code === 'DestinationUnreachable') {
        this.#count += 1;
        onRefusal();
      } else if (stream.received > 0) {
        this.#count = 0;
        this.#pause.reset();
      }
    });
  }

  /** True when the refusals call for a fresh channel. */
  tooMany(now: number): boolean {
    return this.#count >= maxRefusals && now >= this.#ignoredUntil;
  }

  /** A fresh channel is being opened: if refusals called for it, they do so again only after a pause. */
  replacementStarted(now: number): void {
    if (this.tooMany(now)) this.#ignoredUntil = now + this.#pause.next();
  }

  /** A fresh channel is in use: its refusals are counted from 0. */
  restart(): void {
    this.#count = 0;
  }
}
