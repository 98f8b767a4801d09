// How a data channel's web socket is opened, and opened again when it is gone: ticket, checked address, signature, upgrade, first message.
// The service closes every socket about hourly; that ends nothing as long as the session can be resumed.
// Neighbours: api.ts (tickets, signature), web-socket.ts (the socket), data-channel.ts (which keeps its state over all of them).
import { randomUUID } from 'node:crypto';
import { checkedEndpoint, type EndpointPolicy, throughEndpoint } from '../../../../contract/aws-endpoint.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import { backoffDelay } from '../../../../process/backoff.ts';
import { type Clock, sleep } from '../../../../process/clock.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ChannelTicket, SsmApi } from '../aws/api.ts';
import type { ProxyEnvironment } from '../aws/aws-client.ts';
import { clientVersion } from './handshake-protocol.ts';
import { openDataChannel } from './payload.ts';
import { DataSocket, type SocketEvents } from './web-socket.ts';

export interface SocketOpenerOptions {
  readonly api: SsmApi;
  readonly policy: EndpointPolicy;
  /** Where the data channel's host is reached instead; empty: where the service says. */
  readonly endpoint: string;
  readonly proxy: ProxyEnvironment;
  readonly clock: Clock;
  readonly log: Logger;
}

/** No attempt of a resume is worth more time than this: the session ends 75 s after its last sign of life. */
const openRetries = { initialMs: 200, maxMs: 5_000 };

export class SocketOpener {
  readonly #options: SocketOpenerOptions;
  readonly #sessionId: string;
  readonly #streamUrl: string;
  /** One for all sockets of a session. */
  readonly #clientId = randomUUID();

  constructor(options: SocketOpenerOptions, { sessionId, streamUrl }: ChannelTicket) {
    this.#options = options;
    this.#sessionId = sessionId;
    this.#streamUrl = streamUrl;
  }

  /** A socket on which the service knows us. @throws TunnelError, or the signal's reason. */
  async open(
    ticket: { readonly token: string; readonly streamUrl?: string },
    events: SocketEvents,
    signal: AbortSignal,
  ) {
    const { api, policy, endpoint, proxy, clock } = this.#options;
    const streamUrl = ticket.streamUrl ?? this.#streamUrl;
    const told = endpoint === '' ? streamUrl : throughEndpoint(streamUrl, endpoint);
    const url = checkedEndpoint(told, 'ssmmessages', policy);
    const headers = await api.signUpgrade(url, signal);
    const socket = await DataSocket.open({ url, headers, proxy, clock, events, signal });
    socket.send(
      openDataChannel({
        requestId: randomUUID(),
        token: ticket.token,
        clientId: this.#clientId,
        clientVersion: clientVersion,
      }),
    );
    return socket;
  }

  /**
   * The next socket of the session, tried until there is one: at once, then after 0.2 s to 5 s. `failures` counts sockets that
   * were closed again before they carried anything. Undefined when the session has ended. @throws TunnelError when it may not be
   * resumed, or the signal's reason.
   */
  async reopen(events: SocketEvents, failures: number, signal: AbortSignal): Promise<DataSocket | undefined> {
    const { api, log } = this.#options;
    for (let attempt = failures; ; attempt += 1) {
      if (attempt > 0) await sleep(backoffDelay(attempt - 1, openRetries), { signal });
      try {
        const ticket = await api.resumeSession(this.#sessionId, signal);
        if (ticket === undefined) return undefined;
        return await this.open(ticket, events, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof TunnelError) || isFinal(error)) throw error;
        log.info(
          { sessionId: this.#sessionId, attempt, code: error.code, error },
          'the session could not be resumed yet',
        );
      }
    }
  }
}

function isFinal({ code }: TunnelError): boolean {
  return code === 'ResumeDenied' || code === 'EndpointNotAllowed';
}
