// One authenticated ssh connection: dials destinations as channels. When it ends, it ends everything that belongs to it with the reason,
// its signal first. Neighbours: ../connect.ts opens it, channel-stream.ts is one stream, session-watch.ts notices that the far side is
// silent or dead, dial-error.ts turns refusals into errors.
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import { hostPort } from '../../../../contract/ip-address.ts';
import { type Destination, destinationText, type Hop } from '../../../../contract/tunnel-config.ts';
import { anyOf, onAbort } from '../../../../process/abort.ts';
import type { Logger } from '../../../../process/log.ts';
import type { ByteBudget } from '../../../base/byte-budget.ts';
import type { Session, SessionDialOptions } from '../../../base/driver.ts';
import { noTrace, quoted } from '../../../base/trace.ts';
import { fingerprint } from '../base/fingerprint.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import { lendReads } from '../base/lent-reads.ts';
import type { LoggedIn } from '../base/logged-in.ts';
import { isOwnFault, ownFault } from '../base/own-fault.ts';
import { type ChannelMessages, maxPacketBytes, takeChannels } from '../base/ssh2-hardening.ts';
import { packetEnds } from '../base/ssh2-packets.ts';
import type { TakeLink } from '../base/take-link.ts';
import type { Channel, Opening } from './channel-state.ts';
import { type ChannelOptions, ChannelStream } from './channel-stream.ts';
import { dialTimedOut, noRoom, openFailure } from './dial-error.ts';
import { sayGoodbye } from './goodbye.ts';
import { InboundWindow } from './inbound-window.ts';
import { SessionCarrier } from './session-carrier.ts';
import { rekeyBytes, SessionWatch, type Transport } from './session-watch.ts';
import { joinWrites, TransmitGate } from './transmit-gate.ts';

/** sshd uses a file descriptor per channel, and its default soft limit is 1024. */
const maxChannels = 500;

/** Of the second data stream, which no forwarded channel has: what comes is dropped, but not without end. */
const maxExtendedBytes = 16 * 1024 * 1024;

export interface SessionOptions {
  readonly hop: Hop;
  readonly role: HopRole;
  readonly transport: Transport;
  readonly login: LoggedIn;
  readonly budget: ByteBudget;
  /** 0: silence is never acted on. */
  readonly serverAliveIntervalMs: number;
  readonly log: Logger;
  /** The jump host's session that carries this one; it is closed with this one. */
  readonly parent?: Session | undefined;
  /** Bytes under one key. Default: the cipher's safe number. */
  readonly rekeyBytes?: number;
  /** Gives the socket to the native engine. Default: everything stays in JavaScript. */
  readonly takeLink?: TakeLink | undefined;
}

export class SshSession implements Session {
  readonly via: string;
  readonly facts: { readonly hostKeyFingerprint: string; readonly dataPath: 'Native' | 'JavaScript' };
  readonly carrier: SessionCarrier | undefined;
  readonly #options: SessionOptions;
  readonly #name: string;
  readonly #ended = new AbortController();
  readonly #messages: ChannelMessages;
  readonly #gate: TransmitGate;
  readonly #channels = new Map<number, Channel>();
  /** Streams that are not destroyed; a stream whose channel is closed may still have bytes to read. */
  readonly #streams = new Set<ChannelStream>();
  readonly #suspectListeners = new Set<() => void>();
  readonly #closed: Promise<void>;
  #nextId = 0;
  #extendedBytes = 0;
  readonly #watch: SessionWatch;

  constructor(options: SessionOptions) {
    const { hop, role, transport, login } = options;
    this.#options = options;
    this.#name = hopName(role, hop);
    this.via = hostPort(hop.host, hop.port);
    this.#messages = takeChannels(login.client, this.#events());
    this.carrier = SessionCarrier.take({
      ...options,
      via: this.via,
      maxChannels,
      onLost: (how, cause) => this.#end(this.#lost(how, cause)),
      refusalOf: (destination, reason, text) => this.#refusal(destination, reason, text),
    });
    this.#gate = new TransmitGate(transport, () => this.#messages.exchangingKeys, this.carrier !== undefined);
    const dataPath = this.carrier === undefined ? 'JavaScript' : 'Native';
    this.facts = { hostKeyFingerprint: fingerprint(login.hostKey), dataPath };
    if (this.carrier === undefined) {
      joinWrites(transport);
      lendReads(transport, packetEnds(login.client), options.budget);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    const closed = (): void => this.#end(this.#lost('closed the connection'));
    transport.once('close', closed).once('close', resolve).once('end', closed);
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
      onDead: (cause) =>
        this.#end(this.#lost(cause === 'network-dead' ? 'no longer acknowledges what is sent' : 'no longer answers')),
    });
    // Events between login and this constructor had no listener: check the state now.
    if (transport.destroyed || transport.readableEnded) closed();
    if (transport.closed) resolve();
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get suspect(): boolean {
    return this.#watch.suspect;
  }

  get silentMs(): number | undefined {
    return this.#watch.silentMs;
  }

  askForLife(): void {
    this.#watch.ask();
  }

  get hasRoom(): boolean {
    return this.#channels.size + (this.carrier?.channels ?? 0) < maxChannels;
  }

  get streams(): number {
    return this.#streams.size;
  }

  onSuspectChange(listener: () => void): () => void {
    this.#suspectListeners.add(listener);
    return () => this.#suspectListeners.delete(listener);
  }

  async dial(destination: Destination, { signal, trace = noTrace }: SessionDialOptions): Promise<ChannelStream> {
    signal.throwIfAborted();
    this.signal.throwIfAborted();
    if (!this.hasRoom) throw noRoom(this.#name, maxChannels);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<ChannelStream>();
    const inbound = new InboundWindow(this.#options.budget, performance.now(), () => this.#watch.roundTripMs);
    const opening: Opening = { state: 'opening', destination, inbound, trace, resolve, reject };
    this.#channels.set(id, opening);
    this.carrier?.setOwnChannels(this.#channels.size);
    using _ = onAbort(signal, (reason) => {
      if (this.#channels.get(id) !== opening) return;
      this.#channels.set(id, { state: 'closing' });
      inbound.release();
      reject(dialTimedOut(destination, this.#name, reason));
    });
    if ('socket' in destination) this.#messages.openSocket(id, inbound.granted, destination.socket);
    else this.#messages.openTcp(id, inbound.granted, destination.host, destination.port);
    return await promise;
  }

  async roundTrip({ signal }: { readonly signal: AbortSignal }): Promise<number> {
    using either = anyOf(signal, this.signal);
    return await this.#watch.roundTrip(either.signal);
  }

  async close(): Promise<void> {
    this.#end(new TunnelError('NotConnected', `the session to ${this.#name} was closed by the tunnel`), true);
    await this.#closed;
    await this.#options.parent?.close();
  }

  // --- messages of the far side ---

  #events(): Parameters<typeof takeChannels>[1] {
    return {
      opened: (id, remote, window, maxPacket) => this.#opened(id, remote, window, maxPacket),
      openFailed: (id, reason, description) => this.#openFailed(id, reason, description),
      data: (id, bytes) => this.#guard(this.#streamOf(id)?.receive(bytes)),
      extendedData: (id, length) => {
        this.#extendedBytes += length;
        if (this.#extendedBytes > maxExtendedBytes) this.#end(this.#lost('floods the session with data of no stream'));
        else this.#guard(this.#streamOf(id)?.receiveExtended(length));
      },
      windowAdjusted: (id, bytes) => this.#streamOf(id)?.receiveWindow(bytes),
      eof: (id) => this.#streamOf(id)?.receiveEof(),
      closed: (id) => this.#channelClosed(id),
      replyWanted: (id) => this.#streamOf(id)?.refuseRequest(),
      globalAnswered: () => {
        this.#watch.answered();
        this.carrier?.setRoundTrip(this.#watch.roundTripMs);
      },
    };
  }

  #opened(id: number, remote: number, window: number, maxPacket: number): void {
    const channel = this.#channels.get(id);
    if (channel?.state === 'closing') this.#messages.close(remote);
    if (channel?.state !== 'opening') return;
    if (maxPacket === 0) {
      this.#end(this.#lost('allows no packet at all'));
      return;
    }
    const stream = this.#streamFor(channel, remote, { window, maxPacket: Math.min(maxPacket, maxPacketBytes) });
    this.#channels.set(id, { state: 'open', stream });
    channel.resolve(stream);
  }

  #streamFor({ destination, inbound }: Opening, remote: number, outbound: ChannelOptions['outbound']): ChannelStream {
    const stream = new ChannelStream({
      messages: this.#messages,
      gate: this.#gate,
      budget: this.#options.budget,
      inbound,
      remote,
      outbound,
      closedEarly: () =>
        this.signal.reason instanceof TunnelError
          ? this.signal.reason
          : new TunnelError('BastionLost', `${this.#name} broke off the connection to ${destinationText(destination)}`),
      alive: () => !this.signal.aborted,
    });
    // The session may end in the turn that opened the stream, before the dialler can listen; it then sees the stream's state.
    stream.on('error', () => undefined);
    stream.once('close', () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  #openFailed(id: number, reason: number, description: string): void {
    const channel = this.#channels.get(id);
    if (channel === undefined || channel.state === 'open') return;
    this.#forget(id);
    if (channel.state === 'closing') return;
    const { destination, inbound, trace, reject } = channel;
    inbound.release();
    if (description.trim() !== '') trace.note(`${this.#name} says ${quoted(description)}`);
    reject(this.#refusal(destination, reason, description));
  }

  #refusal(destination: Destination, reason: number, text: string): TunnelError {
    const { log, login } = this.#options;
    const fields = { destination: destinationText(destination), sshReason: reason, text: text.slice(0, 200) };
    log.debug(fields, 'dial refused');
    const forbiddenByCertificate = login.forbidsForwarding === true;
    return openFailure(destination, this.#name, { reason, text, forbiddenByCertificate });
  }

  #forget(id: number): void {
    this.#channels.delete(id);
    this.carrier?.setOwnChannels(this.#channels.size);
  }

  #channelClosed(id: number): void {
    const channel = this.#channels.get(id);
    if (channel === undefined || channel.state === 'opening') return;
    this.#forget(id);
    if (channel.state === 'open') channel.stream.receiveClose();
  }

  #streamOf(id: number): ChannelStream | undefined {
    const channel = this.#channels.get(id);
    return channel?.state === 'open' ? channel.stream : undefined;
  }

  /** A far side that overruns a window would fill our memory: RFC 4254 §5.2 forbids it, so the session ends. */
  #guard(isWithinWindow: boolean | undefined): void {
    if (isWithinWindow === false) this.#end(this.#lost('sent more than its window allows'));
  }

  // --- the end ---

  #lost(how: string, cause?: unknown): TunnelError {
    if (cause instanceof TunnelError) return cause;
    if (isOwnFault(cause)) return ownFault(this.#name, cause);
    return new TunnelError('BastionLost', `${this.#name} ${how}`, defined({ cause }));
  }

  /** Once: the signal, then every stream, then the socket. */
  #end(cause: TunnelError, graceful = false): void {
    if (this.signal.aborted) return;
    const { transport, login, parent } = this.#options;
    this.#watch.stop();
    this.#ended.abort(cause);
    for (const channel of this.#channels.values()) {
      if (channel.state !== 'opening') continue;
      channel.inbound.release();
      channel.reject(cause);
    }
    this.#channels.clear();
    for (const stream of this.#streams) stream.destroy(cause);
    this.#suspectListeners.clear();
    if (graceful) sayGoodbye(login.client, transport);
    else transport.destroy();
    if (!graceful) void parent?.close();
  }
}
