// The web sockets of one session, one at a time: the first, and after each loss the next, by resuming the session.
// Neighbours: socket-opener.ts opens them, data-channel.ts is told what they bring and when there is none.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ChannelTicket } from '../aws/api.ts';
import type { SocketOpener } from './socket-opener.ts';
import type { DataSocket, SocketEvents } from './web-socket.ts';

export interface ReconnectingSocketEvents {
  /** There is a socket; what it brings comes afterwards. */
  up(socket: DataSocket): void;
  message(bytes: Buffer): void;
  drained(): void;
  /** There is none. True: get the next one. */
  down(why: string): boolean;
  /** There will be none: the session has ended at the service. */
  gone(): void;
  /** There will be none. */
  over(error: TunnelError): void;
}

/** The handlers of one socket: they count only while it is the current one. */
interface Handlers extends SocketEvents {
  alive: boolean;
  /** What came before the opening call had returned. */
  readonly early: Buffer[];
}

export interface ReconnectingSocketOptions {
  readonly opener: SocketOpener;
  readonly ticket: ChannelTicket;
  readonly log: Logger;
}

export class ReconnectingSocket {
  readonly #options: ReconnectingSocketOptions;
  readonly #events: ReconnectingSocketEvents;
  readonly #closed = new AbortController();
  #handlers: Handlers | undefined;
  #socket: DataSocket | undefined;
  #resuming: Promise<void> | undefined;
  readonly #leaving = new Set<Promise<void>>();
  /** ReconnectingSocket in a row that were gone before they brought a message: each makes the next wait longer. */
  #barren = 0;

  constructor(options: ReconnectingSocketOptions, events: ReconnectingSocketEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** The first socket, with the ticket of the start. @throws TunnelError, or the signal's reason. */
  async open(signal: AbortSignal): Promise<void> {
    const handlers = this.#newHandlers();
    this.#attach(await this.#options.opener.open(this.#options.ticket, handlers, signal), handlers);
  }

  /** Leaves the socket, if there is one, for the next. Resolves when there is one, or there will be none; never rejects. */
  async renew(why: string): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#resuming ??= this.#resume(why);
    await this.#resuming;
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed.abort(new TunnelError('NotConnected', 'the session is over'));
    this.#handlers = undefined;
    this.#leave(true);
    await this.#resuming;
    await Promise.all(this.#leaving);
  }

  async #resume(why: string): Promise<void> {
    const { opener, log, ticket } = this.#options;
    log.info({ sessionId: ticket.sessionId, why }, 'resuming the session on another socket');
    const handlers = this.#newHandlers();
    this.#handlers = undefined;
    this.#leave(false);
    try {
      const socket = await opener.reopen(handlers, this.#barren, this.#closed.signal);
      this.#barren += 1;
      this.#resuming = undefined;
      if (socket !== undefined) this.#attach(socket, handlers);
      else if (!this.#closed.signal.aborted) this.#events.gone();
    } catch (cause) {
      this.#resuming = undefined;
      if (this.#closed.signal.aborted) return;
      const error =
        cause instanceof TunnelError ? cause : new TunnelError('BastionLost', 'the session was lost', { cause });
      this.#events.over(error);
    }
  }

  #newHandlers(): Handlers {
    const handlers: Handlers = {
      alive: true,
      early: [],
      message: (bytes) => {
        if (this.#handlers === handlers) this.#message(bytes);
        else handlers.early.push(bytes);
      },
      closed: (why) => {
        handlers.alive = false;
        if (this.#handlers === handlers) this.#lost(why);
      },
      drained: () => {
        if (this.#handlers === handlers) this.#events.drained();
      },
    };
    return handlers;
  }

  #attach(socket: DataSocket, handlers: Handlers): void {
    this.#socket = socket;
    if (this.#closed.signal.aborted) {
      this.#leave(false);
      return;
    }
    this.#handlers = handlers;
    this.#events.up(socket);
    for (const bytes of handlers.early.splice(0)) this.#message(bytes);
    if (!handlers.alive && this.#handlers === handlers) this.#lost('closed at once');
  }

  #leave(polite: boolean): void {
    const leaving = this.#socket?.close(polite);
    this.#socket = undefined;
    if (leaving === undefined) return;
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }

  #message(bytes: Buffer): void {
    this.#barren = 0;
    this.#events.message(bytes);
  }

  #lost(why: string): void {
    this.#handlers = undefined;
    this.#leave(false);
    if (this.#events.down(why)) void this.renew(why);
  }
}
