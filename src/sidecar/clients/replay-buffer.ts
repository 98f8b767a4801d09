// Keeps what a client sent before the destination's first byte, so that after a refusal it can be read again.
// Neighbours: bridge.ts fills it; after a refusal dialects/ read the client's first message.
import type { Socket } from 'node:net';
import type { ByteBudget } from '../base/byte-budget.ts';

/** More than any first message has. */
const maxBytes = 16 * 1024;

export class ReplayBuffer {
  readonly #budget: ByteBudget;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isComplete = true;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** True while it holds everything that the client sent. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  keep(chunk: Buffer): void {
    if (!this.#isComplete) return;
    if (this.#bytes + chunk.length > maxBytes) {
      this.forget();
      return;
    }
    // The chunk may lie in memory that the next read fills.
    this.#chunks.push(Buffer.from(chunk));
    this.#bytes += chunk.length;
    this.#budget.take(chunk.length);
  }

  forget(): void {
    this.#isComplete = false;
    this.#chunks = [];
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }

  /** Puts everything back, as if nothing had been read from the client. */
  returnTo(client: Socket): void {
    if (this.#bytes > 0) client.unshift(Buffer.concat(this.#chunks));
    this.forget();
  }
}
