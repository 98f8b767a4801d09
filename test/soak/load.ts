// The clients of the soak: connections that stay, short ones one after the other, and downloads. They check every byte, and what a broken
// connection looks like: a reset is a loss that the tunnel admits, an end before the last byte would be a truncation that it hides.
// Neighbours: soak.ts and ../faults/measure.ts start and stop them, ../bench/destination.ts is at the other end.
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { digestOf, header } from '../bench/content.ts';

export interface Counts {
  /** Echoes, short connections and downloads that were carried whole. */
  echoes: number;
  connections: number;
  downloads: number;
  /** Connections that ended with a reset, and those of them that were to stay and had been answered. */
  lost: number;
  steadyLost: number;
  /** Connections that ended as if all was well, before it was. */
  truncated: number;
  /** Bytes that are not those that were sent. */
  wrong: number;
}

export interface LoadOptions {
  /** Clients that keep their connection, and clients that download again and again. */
  readonly steady: number;
  readonly downloaders: number;
  /** Of each download. */
  readonly downloadBytes: number;
}

/** So long the next short connection waits for the end of the last, in milliseconds. */
const shortCloseMs = 500;

export class Load {
  readonly counts: Counts = { echoes: 0, connections: 0, downloads: 0, lost: 0, steadyLost: 0, truncated: 0, wrong: 0 };
  readonly #port: number;
  readonly #options: LoadOptions;
  readonly #digest: Buffer;
  readonly #stopping = new AbortController();
  readonly #clients: Promise<void>[];
  readonly #open = new Set<Connection>();
  /** The ends of short connections: a tunnel without half-close takes 2 s for each, and the next need not wait for it. */
  readonly #closing = new Set<Promise<void>>();
  /** Downloads that are not over yet. */
  #downloading = 0;
  #held = Promise.resolve();
  /** While new connections are held: resolves when they may begin. */
  #newHeld: Promise<void> | undefined;
  #isShortOpen = false;
  #longestWaitMs = 0;
  /** Since when a new connection has been tried without an answer. */
  #waitsSince: number | undefined;

  constructor(port: number, options: LoadOptions) {
    const { steady, downloaders, downloadBytes } = options;
    this.#port = port;
    this.#options = options;
    this.#digest = digestOf(downloadBytes);
    this.#clients = [
      ...Array.from({ length: steady }, () => this.#repeat(() => this.#steady(), 100)),
      ...Array.from({ length: downloaders }, () => this.#repeat(() => this.#download(), 500)),
      this.#repeat(() => this.#short(), 100),
    ];
  }

  /** The longest that a new connection took from its first try to its answer, in milliseconds; it is tried again until it has one. */
  get longestWaitMs(): number {
    return Math.max(this.#longestWaitMs, this.#waitsSince === undefined ? 0 : performance.now() - this.#waitsSince);
  }

  /** Begins no new connection until what it returns is called; resolves when none is open but the steady ones and downloads. */
  async holdNew(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#newHeld = promise;
    while (this.#isShortOpen) await delay(5);
    return resolve;
  }

  /** Forgets the longest wait so far. */
  startWaits(): void {
    this.#longestWaitMs = 0;
  }

  /** True if a new connection was answered that was begun within the last second. */
  get carries(): boolean {
    return this.#waitsSince === undefined || performance.now() - this.#waitsSince < 1_000;
  }

  /** No download is begun before `until`; resolves when none is under way. */
  async holdDownloads(until: Promise<void>): Promise<void> {
    this.#held = until;
    await eventually('the downloads are over', () => this.#downloading === 0, 60_000);
  }

  /** Ends every client; resolves when the last connection is closed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#clients);
    await Promise.all(this.#closing);
  }

  /** The same at once, by a reset of every connection. */
  async abandon(): Promise<void> {
    this.#stopping.abort();
    for (const connection of this.#open) connection.reset();
    await this.stop();
  }

  #connect(opening: Buffer): Connection {
    const connection = new Connection(this.#port, opening);
    this.#open.add(connection);
    void connection.closed.then(() => this.#open.delete(connection));
    if (this.#stopping.signal.aborted) connection.reset();
    return connection;
  }

  async #repeat(once: () => Promise<void>, pauseMs: number): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await once();
      await delay(pauseMs);
    }
  }

  /** One connection and one word after the other, until it breaks or the load stops. */
  async #steady(): Promise<void> {
    const connection = this.#connect(header('E'));
    let carried = false;
    while (!this.#stopping.signal.aborted) {
      const word = randomBytes(64);
      const got = await connection.exchange(word, word.length);
      if (!this.#judge(connection, got, word.length)) {
        if (carried) this.counts.steadyLost += 1;
        return;
      }
      carried = true;
      if (got?.equals(word) === true) this.counts.echoes += 1;
      else this.counts.wrong += 1;
      await delay(200);
    }
    await connection.close();
  }

  async #short(): Promise<void> {
    await this.#newHeld;
    this.#isShortOpen = true;
    try {
      await this.#openShort();
    } finally {
      this.#isShortOpen = false;
    }
  }

  async #openShort(): Promise<void> {
    this.#waitsSince ??= performance.now();
    const connection = this.#connect(header('E'));
    const got = await connection.exchange(Buffer.of(7), 1);
    if (!this.#judge(connection, got, 1)) return;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, performance.now() - this.#waitsSince);
    this.#waitsSince = undefined;
    if (got?.[0] === 7) this.counts.connections += 1;
    else this.counts.wrong += 1;
    const closing = connection.close();
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
    await Promise.race([closing, delay(shortCloseMs)]);
  }

  async #download(): Promise<void> {
    await this.#held;
    if (this.#stopping.signal.aborted) return;
    const { downloadBytes } = this.#options;
    this.#downloading += 1;
    const connection = this.#connect(header('D', downloadBytes));
    const got = await connection.exchange(Buffer.alloc(0), downloadBytes);
    this.#downloading -= 1;
    if (!this.#judge(connection, got, downloadBytes)) return;
    if (got !== undefined && createHash('sha256').update(got).digest().equals(this.#digest)) this.counts.downloads += 1;
    else this.counts.wrong += 1;
    await connection.close();
  }

  /** False if the answer is not whole; the connection is over then. */
  #judge({ end }: Connection, got: Buffer | undefined, wanted: number): boolean {
    if (got?.length === wanted) return true;
    if (end === 'clean') this.counts.truncated += 1;
    else this.counts.lost += 1;
    return false;
  }
}

/** A client's connection: bytes out, bytes in, and how it ended. */
class Connection {
  readonly #socket: Socket;
  readonly closed: Promise<void>;
  #chunks: Buffer[] = [];
  #received = 0;
  #wake: () => void = () => undefined;
  end: 'clean' | 'reset' | undefined;

  constructor(port: number, opening: Buffer) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.write(opening);
    this.#socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#received += chunk.length;
      this.#wake();
    });
    const over = (how: 'clean' | 'reset'): void => {
      this.end ??= how;
      this.#wake();
    };
    this.#socket.once('end', () => over('clean'));
    this.#socket.once('error', () => over('reset'));
    this.#socket.once('close', () => {
      over('reset');
      resolve();
    });
  }

  /** Sends, then waits for that many bytes; undefined if the connection ends before. More than asked for is returned as well. */
  async exchange(bytes: Buffer, wanted: number): Promise<Buffer | undefined> {
    if (this.end === undefined && bytes.length > 0) this.#socket.write(bytes);
    while (this.#received < wanted) {
      if (this.end !== undefined) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const got = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#received = 0;
    return got;
  }

  async close(): Promise<void> {
    this.#socket.end();
    await this.closed;
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }
}
