// One web socket of a data channel: opened with signed headers, watched by pings, read only while its owner wants to read.
// It knows nothing of what it carries. Neighbours: socket-opener.ts opens it, reconnecting-socket.ts owns it.
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { WebSocket } from 'ws';
import { TunnelError } from '../../../../contract/errors.ts';
import { abortable } from '../../../../process/abort.ts';
import type { Clock } from '../../../../process/clock.ts';
import type { ProxyEnvironment } from '../aws/aws-client.ts';
import { upgradeRefused } from '../aws/aws-error.ts';
import { afterSilence } from '../base/silence-timer.ts';

/** NAT gateways and load balancers close idle connections after 60 s or more. */
const pingMs = 30_000;
/** The service itself is lost if not even a pong came for this long. (agent-liveness.ts judges the agent.) */
const silentMs = 75_000;
const openMs = 10_000;
/** The longest wait for the answer to a close frame. */
const goodbyeMs = 1_000;
/** The largest message: the agent sends 1 KiB; the largest number in its code is 142,000 bytes. */
const maxMessage = 1024 * 1024;

export interface SocketEvents {
  /** One message; text and binary alike. */
  message(bytes: Buffer): void;
  /** The open socket is lost, for whatever reason. Called once, and not after `close`. */
  closed(why: string): void;
  /** The kernel has taken what was sent. */
  drained(): void;
}

export interface OpenSocketOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly proxy: ProxyEnvironment;
  readonly clock: Clock;
  readonly events: SocketEvents;
  readonly signal: AbortSignal;
}

/** An open web socket. Its owner closes it. */
export class DataSocket {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #events: SocketEvents;
  #heardAt: number;
  #cancelPing: (() => void) | undefined;
  #closed = false;

  /** Resolves once the upgrade was answered. @throws TunnelError, or the signal's reason. Nothing is left open then. */
  static async open(options: OpenSocketOptions): Promise<DataSocket> {
    const { signal, url, headers, proxy } = options;
    signal.throwIfAborted();
    const { Agent } = url.protocol === 'wss:' ? https : http;
    const socket = new WebSocket(url, {
      // One agent for each socket, so that nothing is left once the socket is closed.
      agent: new Agent({ proxyEnv: { ...proxy } }),
      headers,
      handshakeTimeout: openMs,
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: maxMessage,
    });
    // Before the socket is open: the first message may come together with the answer to the upgrade.
    const opened = new DataSocket(socket, options);
    try {
      await abortable(upgraded(socket, url.host), { signal });
    } catch (error) {
      await opened.close();
      throw error;
    }
    opened.#watch();
    return opened;
  }

  private constructor(socket: WebSocket, { clock, events }: OpenSocketOptions) {
    this.#socket = socket;
    this.#clock = clock;
    this.#events = events;
    this.#heardAt = clock.now();
    let why = '';
    let opened = false;
    socket.once('open', () => {
      opened = true;
    });
    socket.on('message', (data) => {
      this.#heardAt = clock.now();
      if (!this.#closed) events.message(bytesOf(data));
    });
    socket.on('ping', () => {
      this.#heardAt = clock.now();
    });
    socket.on('pong', () => {
      this.#heardAt = clock.now();
    });
    socket.on('error', (error) => {
      why = `the connection failed${codeOf(error)}`;
    });
    socket.on('close', (code) => {
      if (this.#closed) return;
      this.#end();
      // If it never was open, only `open` reports that: its caller may have another socket by now.
      if (opened) events.closed(why || `closed with code ${code}`);
    });
  }

  /** Bytes sent that the kernel has not taken yet. */
  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  send(message: Buffer | string): void {
    if (this.#closed) return;
    this.#socket.send(message, { binary: typeof message !== 'string' }, () => this.#events.drained());
  }

  /** Stops reading; what was read before may still come. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#heardAt = this.#clock.now();
    this.#socket.resume();
  }

  /** Resolves when the socket is closed. `polite`: sends a close frame first and waits at most a second for the answer. */
  async close(polite = false): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    this.#end();
    const gone = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    if (polite && this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.resume();
      this.#socket.close(1000);
      const cancel = this.#clock.after(goodbyeMs, () => this.#socket.terminate());
      await gone;
      cancel();
    } else {
      this.#socket.terminate();
      await gone;
    }
  }

  #watch(): void {
    if (this.#closed) return;
    this.#cancelPing = afterSilence(this.#clock, pingMs, (overslept) => {
      if (overslept) this.#heardAt = this.#clock.now();
      this.#ping();
    });
  }

  #ping(): void {
    if (this.#closed) return;
    // While we do not read, pongs cannot arrive.
    if (!this.#socket.isPaused && this.#clock.now() - this.#heardAt > silentMs) {
      this.#end();
      this.#socket.terminate();
      this.#events.closed('the service did not answer for 75 s');
      return;
    }
    this.#socket.ping();
    this.#watch();
  }

  #end(): void {
    this.#closed = true;
    this.#cancelPing?.();
  }
}

/** Resolves once the upgrade was answered. @throws TunnelError */
async function upgraded(socket: WebSocket, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('open', resolve);
  socket.once('unexpected-response', (_request, response: IncomingMessage) => {
    response.resume();
    reject(upgradeRefused(response.statusCode ?? 0, response.headers.date, new Date(), host));
  });
  socket.once('error', (cause) => {
    reject(
      new TunnelError(
        'ServiceFailed',
        `the data channel at ${host} cannot be opened${codeOf(cause)}: look at the tunnel’s way to that endpoint`,
        { cause },
      ),
    );
  });
  await promise;
}

function bytesOf(data: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
}
