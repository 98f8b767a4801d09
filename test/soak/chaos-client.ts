// One client of chaos.ts: a transfer of a random kind and size, that it may leave early, and that must be whole if it ends.
// Neighbour: ../bench/destination.ts is at the other end.
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { digestOf, header, slice } from '../bench/content.ts';

/** How often each thing happened. What is not a `fault` may happen: a reset of a killed session, a client that left. */
export type Tally = (what: string, isFault?: boolean) => void;

const sizes = [1, 100, 40_000, 1_000_000, 20_000_000];
/** Downloads are as frequent as uploads; a few echoes beside them. */
const kinds = ['D', 'D', 'U', 'U', 'E'] as const;
const greeting = 'hello';

/** A connection on which nothing happens for this long hangs. A reconnect and a hold at the port may lie within. */
const hangMs = 30_000;

/** A slow reader stops for this long, in one of fifty reads. */
const stopMs = 30;

const digests = new Map<number, Buffer>();

function expected(bytes: number): Buffer {
  const digest = digests.get(bytes) ?? digestOf(bytes);
  digests.set(bytes, digest);
  return digest;
}

const oneOf = <T>(all: readonly T[]): T => all[Math.floor(Math.random() * all.length)] as T;

/** Resolves when the connection is closed. */
export async function visit(port: number, tally: Tally): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    socket.once('close', () => resolve());
    new Visit(socket, oneOf(kinds), oneOf(sizes), tally).begin();
  });
}

class Visit {
  readonly #socket: Socket;
  readonly #kind: (typeof kinds)[number];
  readonly #bytes: number;
  readonly #tally: Tally;
  /** After so many bytes it leaves, or never. */
  readonly #leavesAfter: number;
  readonly #hash = createHash('sha256');
  readonly #answer: Buffer[] = [];
  #received = 0;
  #sent = 0;
  #left = false;

  constructor(socket: Socket, kind: (typeof kinds)[number], bytes: number, tally: Tally) {
    this.#socket = socket;
    this.#kind = kind;
    this.#bytes = bytes;
    this.#tally = tally;
    this.#leavesAfter = Math.random() < 0.25 ? Math.random() * bytes : Number.POSITIVE_INFINITY;
  }

  begin(): void {
    const socket = this.#socket;
    socket.on('error', (error: NodeJS.ErrnoException) => this.#tally(`broken off: ${error.code}`));
    socket.setTimeout(hangMs, () => {
      this.#tally(
        `${this.#kind} hangs after ${this.#sent} sent and ${this.#received} received of ${this.#bytes}`,
        true,
      );
      socket.destroy();
    });
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.once('end', () => this.#ended());
    socket.write(header(this.#kind, this.#bytes));
    if (this.#kind === 'E') socket.end(greeting);
    else if (this.#kind === 'U') this.#upload();
    // A client may end its sending side and read on.
    else if (Math.random() < 0.3) socket.end();
  }

  #take(bytes: Buffer): void {
    this.#received += bytes.length;
    if (this.#kind !== 'D') {
      this.#answer.push(bytes);
      return;
    }
    this.#hash.update(bytes);
    if (this.#received > this.#leavesAfter) this.#leave();
    else if (Math.random() < 0.02) {
      this.#socket.pause();
      setTimeout(() => this.#socket.resume(), stopMs);
    }
  }

  #upload(): void {
    const socket = this.#socket;
    const more = (): void => {
      while (this.#sent < this.#bytes && !socket.destroyed) {
        if (this.#sent > this.#leavesAfter) {
          this.#leave();
          return;
        }
        const bytes = slice(this.#sent, this.#bytes);
        this.#sent += bytes.length;
        if (!socket.write(bytes)) return;
      }
    };
    socket.on('drain', more);
    more();
  }

  #leave(): void {
    this.#left = true;
    this.#tally('left early');
    if (Math.random() < 0.5) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** A clean end promises that all is here (docs/promises.md, promise 1). */
  #ended(): void {
    if (this.#left) return;
    const answer = Buffer.concat(this.#answer);
    const isWhole = {
      D: () => this.#received === this.#bytes && this.#hash.digest().equals(expected(this.#bytes)),
      U: () => answer.equals(expected(this.#bytes)),
      E: () => answer.toString() === greeting,
    }[this.#kind]();
    if (isWhole) this.#tally(`${this.#kind} whole`);
    else this.#tally(`${this.#kind} ended with ${this.#received} of ${this.#bytes}, or with other bytes`, true);
    this.#socket.end();
  }
}
