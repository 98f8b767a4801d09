// Opens a data channel's web socket, and the next when it is lost: ticket, checked address, signature, upgrade, first message. The service
// closes every socket about hourly; that ends nothing as long as the session can be resumed.
// Neighbours: api.ts (tickets, signature), web-socket.ts (the socket), reconnecting-socket.ts (asks for the next).
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
  /** Where the data channel's host is reached instead; empty: at the address that the service names. */
  readonly endpoint: string;
  readonly proxy: ProxyEnvironment;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Pauses between attempts to resume: short, because the channel ends 75 s after the agent's last sign of life. */
const openRetries = { initialMs: 200, maxMs: 5_000 };

export class SocketOpener {
  readonly #options: SocketOpenerOptions;
  readonly #sessionId: string;
  readonly #streamUrl: string;
  /** The same for all sockets of a channel. */
  readonly #clientId = randomUUID();

  constructor(options: SocketOpenerOptions, { sessionId, streamUrl }: ChannelTicket) {
    this.#options = options;
    this.#sessionId = sessionId;
    this.#streamUrl = streamUrl;
  }

  /** An open socket that has sent its token. @throws TunnelError, or the signal's reason. */
  async open(
    ticket: { readonly token: string; readonly streamUrl?: string },
    events: SocketEvents,
    signal: AbortSignal,
  ) {
    const { api, policy, endpoint, proxy, clock } = this.#options;
    const streamUrl = ticket.streamUrl ?? this.#streamUrl;
    const address = endpoint === '' ? streamUrl : throughEndpoint(streamUrl, endpoint);
    const url = checkedEndpoint(address, 'ssmmessages', policy);
    const headers = await api.signUpgrade(url, signal);
    const socket = await DataSocket.open({ url, headers, proxy, clock, events, signal });
    socket.send(
      openDataChannel({
        requestId: randomUUID(),
        token: ticket.token,
        clientId: this.#clientId,
        clientVersion,
      }),
    );
    return socket;
  }

  /**
   * The next socket of the channel, tried until one is open: at once, then after 0.2 s to 5 s. `failures` counts sockets that
   * were closed before they carried anything. Undefined if the session has ended. @throws TunnelError if it may not be
   * resumed, or the signal's reason.
   */
  async reopen(events: SocketEvents, failures: number, signal: AbortSignal): Promise<DataSocket | undefined> {
    const { api, log, clock } = this.#options;
    for (let attempt = failures; ; attempt += 1) {
      if (attempt > 0) await sleep(backoffDelay(attempt - 1, openRetries), { signal, clock });
      try {
        const ticket = await api.resumeSession(this.#sessionId, signal);
        if (ticket === undefined) return undefined;
        return await this.open(ticket, events, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof TunnelError) || isFinal(error)) throw error;
        log.info(
          { sessionId: this.#sessionId, attempt, reason: error.code, error },
          'the session could not be resumed yet',
        );
      }
    }
  }
}

function isFinal({ code }: TunnelError): boolean {
  return code === 'ResumeDenied' || code === 'EndpointNotAllowed';
}
