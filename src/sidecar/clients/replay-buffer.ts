// What a client sent while the destination was still silent, kept for the case of a refusal.
// Neighbours: bridge.ts keeps it, dialects/ read it again after a refusal.
import type { Socket } from 'node:net';
import type { ByteBudget } from '../base/byte-budget.ts';

/** So much is kept: more than a first message has. */
const maxUnanswered = 16 * 1024;

export class Unanswered {
  readonly #budget: ByteBudget;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isWhole = true;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** True while everything is kept. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  keep(chunk: Buffer): void {
    if (!this.#isWhole) return;
    if (this.#bytes + chunk.length > maxUnanswered) {
      this.forget();
      return;
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#budget.take(chunk.length);
  }

  forget(): void {
    this.#isWhole = false;
    this.#chunks = [];
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }

  /** The client is as if nothing had been read of it. */
  returnTo(client: Socket): void {
    if (this.#bytes > 0) client.unshift(Buffer.concat(this.#chunks));
    this.forget();
  }
}
