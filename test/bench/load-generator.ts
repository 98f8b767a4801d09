// The parent's side of the client process. Neighbours: load.ts is that process, measure.ts gives the orders.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export type Order =
  | {
      readonly what: 'transfer';
      readonly port: number;
      readonly upload: boolean;
      readonly streams: number;
      readonly bytes: number;
    }
  | { readonly what: 'pings'; readonly port: number; readonly count: number }
  | { readonly what: 'connections'; readonly port: number; readonly count: number; readonly parallel: number }
  | { readonly what: 'hold'; readonly port: number; readonly count: number }
  | { readonly what: 'stall'; readonly port: number; readonly count: number }
  | { readonly what: 'release' };

export type Answer = { readonly figure: number } | { readonly error: string };

/** The longest that one order may take. */
const orderMs = 120_000;

/** One client process; orders are given one at a time. */
export class LoadGenerator {
  readonly #process = fork(fileURLToPath(new URL('load.ts', import.meta.url)));

  /** Resolves with the figure that load.ts documents for the order. @throws the error of that process, or after two minutes. */
  async order(order: Order): Promise<number> {
    const signal = AbortSignal.timeout(orderMs);
    const answered = once(this.#process, 'message', { signal }).catch((cause: unknown) => {
      throw new Error(`no answer to ${JSON.stringify(order)}`, { cause });
    });
    this.#process.send(order);
    const [answer] = (await answered) as [Answer];
    if ('error' in answer) throw new Error(`${order.what}: ${answer.error}`);
    return answer.figure;
  }

  stop(): void {
    this.#process.kill('SIGKILL');
  }
}
