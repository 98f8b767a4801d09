// The web sockets of one data channel, one at a time: the first, and after each loss the next, by resuming the session at the service.
// Neighbours: socket-opener.ts opens them, channel-transport.ts gets their messages and learns when there is none.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ChannelTicket } from '../aws/api.ts';
import type { SocketOpener } from './socket-opener.ts';
import type { DataSocket, SocketEvents } from './web-socket.ts';

export interface ReconnectingSocketEvents {
  /** There is a socket; its messages come afterwards. */
  up(socket: DataSocket): void;
  message(bytes: Buffer): void;
  drained(): void;
  /** The socket is lost. Return true to open the next one. */
  down(why: string): boolean;
  /** There will be no other: the session has ended at the service. */
  gone(): void;
  /** There will be no other, for this reason. */
  over(error: TunnelError): void;
}

/** The handlers of one socket: they have an effect only while it is the current one. */
interface Handlers extends SocketEvents {
  alive: boolean;
  /** What came before the call that opened it had returned. */
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
  readonly #closing = new Set<Promise<void>>();
  /** How many sockets in a row were lost before their first message: each makes the next wait longer. */
  #lostUnused = 0;

  constructor(options: ReconnectingSocketOptions, events: ReconnectingSocketEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** Opens the first socket, with the ticket of the start. @throws TunnelError, or the signal's reason. */
  async open(signal: AbortSignal): Promise<void> {
    const handlers = this.#newHandlers();
    this.#attach(await this.#options.opener.open(this.#options.ticket, handlers, signal), handlers);
  }

  /** Leaves the socket, if any, for the next. Resolves when there is a next, or there will be none; never rejects. */
  async renew(why: string): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#resuming ??= this.#resume(why);
    await this.#resuming;
  }

  /** Closes the socket and opens no other. Resolves when nothing is in progress any more. */
  async close(): Promise<void> {
    this.#closed.abort(new TunnelError('NotConnected', 'the session is over'));
    this.#handlers = undefined;
    this.#leave(true);
    await this.#resuming;
    await Promise.all(this.#closing);
  }

  async #resume(why: string): Promise<void> {
    const { opener, log, ticket } = this.#options;
    log.info({ sessionId: ticket.sessionId, why }, 'resuming the session on a new socket');
    const handlers = this.#newHandlers();
    this.#handlers = undefined;
    this.#leave(false);
    try {
      const socket = await opener.reopen(handlers, this.#lostUnused, this.#closed.signal);
      this.#lostUnused += 1;
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
    this.#closing.add(leaving);
    void leaving.finally(() => this.#closing.delete(leaving));
  }

  #message(bytes: Buffer): void {
    this.#lostUnused = 0;
    this.#events.message(bytes);
  }

  #lost(why: string): void {
    this.#handlers = undefined;
    this.#leave(false);
    if (this.#events.down(why)) void this.renew(why);
  }
}
