// Back-pressure on the way to the bastion. ssh2 ignores what `socket.write` answers and would queue up to 2 MiB per channel in front of
// our own keep-alives, which then look lost on a healthy slow link; here streams wait in line while the socket holds enough.
// Neighbours: channel-stream.ts waits here, session.ts opens the gate again.
import type { Duplex } from 'node:stream';

/** Bytes in the socket's queue from which on streams wait; a keep-alive behind them is under 0.3 s late at 8 Mbit/s. */
const queuedBytesLimit = 256 * 1024;

export class TransmitGate {
  readonly #socket: Duplex;
  readonly #exchangingKeys: () => boolean;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Duplex, exchangingKeys: () => boolean) {
    this.#socket = socket;
    this.#exchangingKeys = exchangingKeys;
    socket.on('drain', this.reopen);
  }

  get open(): boolean {
    return this.#socket.writableLength < queuedBytesLimit && !this.#exchangingKeys();
  }

  /** Calls back once when there is room again, first come first served. */
  wait(callback: () => void): void {
    this.#waiting.add(callback);
  }

  leave(callback: () => void): void {
    this.#waiting.delete(callback);
  }

  /** Lets waiting streams send until the gate closes; to be called when keys are exchanged. */
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
