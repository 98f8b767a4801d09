// One authenticated ssh connection: dials destinations as channels, and when it ends, ends everything of it with the reason, its signal
// first. Neighbours: connect.ts makes it, channel-stream.ts is one stream, session-watch.ts tells suspicion and death, dial-error.ts
// names what sshd refuses.
import { TunnelError } from '../../../../contract/errors.ts';
import { hostPort } from '../../../../contract/ip-address.ts';
import { type Destination, destinationText, type Hop } from '../../../../contract/tunnel-config.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { Session } from '../../../base/driver.ts';
import { fingerprint } from '../base/fingerprint.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import type { LoggedIn } from '../base/logged-in.ts';
import { type ChannelMessages, maxPacketBytes, takeChannels } from '../base/ssh2-hardening.ts';
import { ChannelStream } from './channel-stream.ts';
import { dialTimedOut, openFailure } from './dial-error.ts';
import { InboundWindow } from './inbound-window.ts';
import { SessionWatch, type Transport } from './session-watch.ts';
import { joinWrites, TransmitGate } from './transmit-gate.ts';

/** sshd holds a file descriptor per channel, and its default soft limit is 1024. */
const maxChannels = 500;

/** How long a goodbye may take before the socket is destroyed. */
const goodbyeMs = 500;

/** RFC 4344 §3.2 allows 2^32 blocks of AES (64 GiB) under one key; ciphers with 8-byte blocks, 1 GiB. */
const rekeyBytes = (cipher: string) => (cipher.startsWith('chacha20') ? 2 ** 30 : 2 ** 35);

export interface SessionOptions {
  readonly hop: Hop;
  readonly role: HopRole;
  readonly transport: Transport;
  readonly login: LoggedIn;
  readonly budget: ByteBudget;
  /** 0: silence is never judged. */
  readonly serverAliveIntervalMs: number;
  readonly log: Logger;
  /** The session that this one runs over; it is closed with this one. */
  readonly below?: Session;
  /** Bytes under one key; the cipher's safe number unless told. */
  readonly rekeyBytes?: number;
}

/** A dial that is not answered yet. `abandoned`: nobody waits any more, so a late confirmation is closed at once. */
interface Opening {
  readonly destination: Destination;
  readonly inbound: InboundWindow;
  readonly resolve: (stream: ChannelStream) => void;
  readonly reject: (error: unknown) => void;
  abandoned: boolean;
}

/** A channel that we gave up on while it opened: kept until the far side has closed it too. */
type Channel = Opening | ChannelStream | { readonly closing: number };

export class SshSession implements Session {
  readonly via: string;
  readonly facts: { readonly hostKeyFingerprint: string };
  readonly #options: SessionOptions;
  readonly #name: string;
  readonly #ended = new AbortController();
  readonly #messages: ChannelMessages;
  readonly #gate: TransmitGate;
  readonly #channels = new Map<number, Channel>();
  /** Streams that are not destroyed; one whose channel is closed may still have bytes to read. */
  readonly #streams = new Set<ChannelStream>();
  readonly #suspectListeners = new Set<() => void>();
  readonly #closed: Promise<void>;
  #nextId = 0;
  readonly #watch: SessionWatch;

  constructor(options: SessionOptions) {
    const { hop, role, transport, login } = options;
    this.#options = options;
    this.#name = hopName(role, hop);
    this.via = hostPort(hop.host, hop.port);
    this.facts = { hostKeyFingerprint: fingerprint(login.hostKey) };
    this.#messages = takeChannels(login.client, this.#events());
    this.#gate = new TransmitGate(transport, () => this.#messages.exchangingKeys);
    joinWrites(transport);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    transport.once('close', () => {
      this.#end(this.#lost('closed the connection'));
      resolve();
    });
    transport.once('end', () => this.#end(this.#lost('closed the connection')));
    transport.on('error', (cause) => this.#end(this.#lost('broke the connection', cause)));
    login.client.on('error', (cause) => this.#end(this.#lost('ended the session', cause)));
    login.client.on('handshake', this.#gate.reopen);
    this.#watch = new SessionWatch({
      transport,
      messages: this.#messages,
      intervalMs: options.serverAliveIntervalMs,
      rekeyBytes: options.rekeyBytes ?? rekeyBytes(login.cipher),
      onSuspectChange: (suspect) => {
        options.log.debug({ via: this.via, suspect }, suspect ? 'the bastion is silent' : 'the bastion speaks again');
        for (const listener of this.#suspectListeners) listener();
      },
      onDead: (verdict) =>
        this.#end(this.#lost(verdict === 'network-dead' ? 'no longer acknowledges what is sent' : 'no longer answers')),
    });
    // What happened between login and now was told to nobody.
    if (transport.destroyed || transport.readableEnded) this.#end(this.#lost('closed the connection'));
    if (transport.closed) resolve();
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get suspect(): boolean {
    return this.#watch.suspect;
  }

  get hasRoom(): boolean {
    return this.#channels.size < maxChannels;
  }

  get streams(): number {
    return this.#streams.size;
  }

  onSuspectChange(listener: () => void): () => void {
    this.#suspectListeners.add(listener);
    return () => this.#suspectListeners.delete(listener);
  }

  async dial(destination: Destination, { signal }: { readonly signal: AbortSignal }): Promise<ChannelStream> {
    signal.throwIfAborted();
    this.signal.throwIfAborted();
    if (!this.hasRoom) {
      throw new TunnelError(
        'NotConnected',
        `the session to ${this.#name} carries its maximum of ${maxChannels} streams`,
      );
    }
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<ChannelStream>();
    const inbound = new InboundWindow(this.#options.budget, performance.now());
    const opening: Opening = { destination, inbound, resolve, reject, abandoned: false };
    this.#channels.set(id, opening);
    const onAbort = () => {
      opening.abandoned = true;
      reject(dialTimedOut(destination, this.#name, signal.reason));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if ('socket' in destination) this.#messages.openSocket(id, inbound.granted, destination.socket);
      else this.#messages.openTcp(id, inbound.granted, destination.host, destination.port);
      return await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async close(): Promise<void> {
    this.#end(new TunnelError('NotConnected', `the session to ${this.#name} was closed by the tunnel`), true);
    await this.#closed;
    await this.#options.below?.close();
  }

  // --- what the far side says ---

  #events(): Parameters<typeof takeChannels>[1] {
    return {
      opened: (id, remote, window, maxPacket) => this.#opened(id, remote, window, maxPacket),
      openFailed: (id, reason, description) => {
        const opening = this.#channels.get(id);
        if (opening === undefined || !('reject' in opening)) return;
        this.#channels.delete(id);
        opening.inbound.release();
        const said = { destination: destinationText(opening.destination), reason, text: description.slice(0, 200) };
        this.#options.log.debug(said, 'dial refused');
        opening.reject(openFailure(opening.destination, this.#name, reason, description));
      },
      data: (id, bytes) => this.#withStream(id, (stream) => this.#guard(stream.receive(bytes))),
      extendedData: (id, length) => this.#withStream(id, (stream) => this.#guard(stream.receiveExtended(length))),
      windowAdjusted: (id, bytes) => this.#withStream(id, (stream) => stream.receiveWindow(bytes)),
      eof: (id) => this.#withStream(id, (stream) => stream.receiveEof()),
      closed: (id) => {
        const channel = this.#channels.get(id);
        if (channel === undefined || 'reject' in channel) return;
        this.#channels.delete(id);
        if (channel instanceof ChannelStream) channel.receiveClose();
      },
      replyWanted: (id) => {
        const channel = this.#channels.get(id);
        if (channel instanceof ChannelStream && !channel.destroyed) channel.refuseRequest();
      },
    };
  }

  #opened(id: number, remote: number, window: number, maxPacket: number): void {
    const opening = this.#channels.get(id);
    if (opening === undefined || !('reject' in opening)) return;
    if (opening.abandoned) {
      opening.inbound.release();
      this.#channels.set(id, { closing: remote });
      this.#messages.close(remote);
      return;
    }
    if (maxPacket === 0) {
      this.#end(this.#lost('allows no packet at all'));
      return;
    }
    const { budget } = this.#options;
    const stream = new ChannelStream({
      messages: this.#messages,
      gate: this.#gate,
      budget,
      inbound: opening.inbound,
      remote,
      outbound: { window, maxPacket: Math.min(maxPacket, maxPacketBytes) },
      closedEarly: () =>
        this.signal.reason instanceof TunnelError
          ? this.signal.reason
          : new TunnelError(
              'BastionLost',
              `${this.#name} broke off the connection to ${destinationText(opening.destination)}`,
            ),
      alive: () => !this.signal.aborted,
    });
    // The session may end in the very turn that opened the stream, before the dialler could listen; its state tells it then.
    stream.on('error', () => undefined);
    stream.once('close', () => this.#streams.delete(stream));
    this.#streams.add(stream);
    this.#channels.set(id, stream);
    opening.resolve(stream);
  }

  #withStream(id: number, use: (stream: ChannelStream) => void): void {
    const channel = this.#channels.get(id);
    if (channel instanceof ChannelStream) use(channel);
  }

  /** A far side that overruns a window would fill our memory: RFC 4254 §5.2 forbids it, so the session ends. */
  #guard(withinWindow: boolean): void {
    if (!withinWindow) this.#end(this.#lost('sent more than its window allows'));
  }

  // --- the end ---

  #lost(how: string, cause?: unknown): TunnelError {
    if (cause instanceof TunnelError) return cause;
    return new TunnelError('BastionLost', `${this.#name} ${how}`, cause === undefined ? {} : { cause });
  }

  /** Once: the signal, then every stream, then the socket. */
  #end(cause: TunnelError, graceful = false): void {
    if (this.signal.aborted) return;
    const { transport, login, below } = this.#options;
    this.#watch.stop();
    this.#ended.abort(cause);
    for (const channel of this.#channels.values()) {
      if (!('reject' in channel)) continue;
      channel.inbound.release();
      channel.reject(cause);
    }
    this.#channels.clear();
    for (const stream of this.#streams) stream.destroy(cause);
    this.#suspectListeners.clear();
    if (graceful && transport.writable) {
      login.client.end();
      const timer = setTimeout(() => transport.destroy(), goodbyeMs);
      transport.once('close', () => clearTimeout(timer));
    } else transport.destroy();
    if (!graceful) void below?.close();
  }
}
