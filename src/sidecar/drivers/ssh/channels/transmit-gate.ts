// Back-pressure towards the bastion. ssh2 ignores the result of `socket.write` and would queue up to 2 MiB per channel in front of our own
// keep-alives, which then look lost on a slow but healthy link. Here streams wait in line while the socket's queue is full.
// Neighbours: channel-stream.ts waits here, session.ts opens the gate again.
import type { Duplex } from 'node:stream';

/** With this many bytes in the socket's queue streams wait; a keep-alive behind them is less than 0.3 s late at 8 Mbit/s. */
const queuedBytesLimit = 256 * 1024;
/** The same, where the native engine sends as well: by the time that a stream has its turn, clients of the engine have filled the queue as far as above again. */
const sharedBytesLimit = 384 * 1024;

export class TransmitGate {
  readonly #socket: Duplex;
  readonly #exchangingKeys: () => boolean;
  readonly #limit: number;
  readonly #waiting = new Set<() => void>();

  /** `isShared`: the native engine has the socket. */
  constructor(socket: Duplex, exchangingKeys: () => boolean, isShared = false) {
    this.#socket = socket;
    this.#exchangingKeys = exchangingKeys;
    this.#limit = isShared ? sharedBytesLimit : queuedBytesLimit;
    socket.on('drain', this.reopen);
  }

  get open(): boolean {
    return this.#socket.writableLength < this.#limit && !this.#exchangingKeys();
  }

  /** Calls back once there is room again, first come first served. */
  wait(callback: () => void): void {
    this.#waiting.add(callback);
  }

  leave(callback: () => void): void {
    this.#waiting.delete(callback);
  }

  /** Lets waiting streams send until the gate closes; call it after a key exchange. */
  readonly reopen = (): void => {
    for (const callback of this.#waiting) {
      if (!this.open) return;
      this.#waiting.delete(callback);
      callback();
    }
  };
}

/** Joins the writes of one turn of the event loop into one system call: packets come in up to three pieces, replies in groups. */
export function joinWrites(socket: Duplex): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let corked = false;
  socket.write = ((...args: unknown[]) => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    return write(...args);
  }) as Duplex['write'];
}
