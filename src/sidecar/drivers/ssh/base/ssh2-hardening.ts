// Hardens an ssh2 client from outside. ssh2 keeps key exchange, ciphers and authentication; its channel layer is replaced by our own
// handlers of channel messages, so that session.ts and channel-stream.ts decide about windows, back-pressure, endings and errors.
// Neighbours: ssh2-protocol.ts has the internals; only the files ssh2-*.ts touch them.
import type { Duplex } from 'node:stream';
import type { Client } from 'ssh2';
import { allowDuringExchange, keyExchangeInit } from './ssh2-exchange.ts';
import { packInSlab } from './ssh2-packets.ts';
import { offerPostQuantum, takeExchange } from './ssh2-post-quantum.ts';
import { type AgreedAlgorithms, exchangeOf, protocolOf } from './ssh2-protocol.ts';

/** RFC 4253 §6.1: the payload of one packet that every implementation must accept, and that we ask for. */
export const maxPacketBytes = 32 * 1024;

/** Messages of the far side about channels (RFC 4254 §5). `local` is the id that we chose. */
export interface ChannelEvents {
  opened(local: number, remote: number, window: number, maxPacket: number): void;
  openFailed(local: number, reason: number, description: string): void;
  data(local: number, bytes: Buffer): void;
  /** Bytes of a second data stream, which no forwarded channel uses: credit and drop them. */
  extendedData(local: number, length: number): void;
  windowAdjusted(local: number, bytes: number): void;
  eof(local: number): void;
  closed(local: number): void;
  /** A channel request that wants an answer (sshd's ClientAliveInterval sends one). */
  replyWanted(local: number): void;
  /** The answer to the oldest unanswered global request of ours: done or refused. */
  globalAnswered(): void;
}

/** Our messages about channels. `remote` is the id that the far side chose. The caller must send nothing after the connection is lost. */
export interface ChannelMessages {
  openTcp(local: number, window: number, host: string, port: number): void;
  openSocket(local: number, window: number, path: string): void;
  data(remote: number, bytes: Buffer): void;
  adjustWindow(remote: number, bytes: number): void;
  eof(remote: number): void;
  close(remote: number): void;
  refuseRequest(remote: number): void;
  /** keepalive@openssh.com: any answer, even a refusal, is a sign of life. */
  ping(): void;
  /** Begins a key re-exchange, unless one is in progress. */
  rekey(): void;
  /** True during a key exchange: whatever is sent meanwhile queues in memory, so bulk data must wait. */
  readonly exchangingKeys: boolean;
}

/** Replaces the channel layer of an authenticated client. */
export function takeChannels(client: Client, events: ChannelEvents): ChannelMessages {
  const protocol = protocolOf(client);
  Object.assign(protocol._handlers, {
    CHANNEL_OPEN_CONFIRMATION: (_: unknown, open: Record<'recipient' | 'sender' | 'window' | 'packetSize', number>) =>
      events.opened(open.recipient, open.sender, open.window, open.packetSize),
    CHANNEL_OPEN_FAILURE: (_: unknown, local: number, reason: number, description: string) =>
      events.openFailed(local, reason, description),
    CHANNEL_DATA: (_: unknown, local: number, bytes: Buffer) => events.data(local, bytes),
    CHANNEL_EXTENDED_DATA: (_: unknown, local: number, bytes: Buffer) => events.extendedData(local, bytes.length),
    CHANNEL_WINDOW_ADJUST: (_: unknown, local: number, bytes: number) => events.windowAdjusted(local, bytes),
    CHANNEL_EOF: (_: unknown, local: number) => events.eof(local),
    CHANNEL_CLOSE: (_: unknown, local: number) => events.closed(local),
    CHANNEL_REQUEST: (_: unknown, local: number, _type: string, wantReply: boolean) => {
      if (wantReply) events.replyWanted(local);
    },
    CHANNEL_SUCCESS: () => undefined,
    CHANNEL_FAILURE: () => undefined,
    REQUEST_SUCCESS: () => events.globalAnswered(),
    REQUEST_FAILURE: () => events.globalAnswered(),
  });
  return {
    openTcp: (local, window, host, port) =>
      // sshd only logs the origin; ours would reveal a pod address to the bastion.
      protocol.directTcpip(local, window, maxPacketBytes, {
        srcIP: '127.0.0.1',
        srcPort: 0,
        dstIP: host,
        dstPort: port,
      }),
    openSocket: (local, window, path) =>
      protocol.openssh_directStreamLocal(local, window, maxPacketBytes, { socketPath: path }),
    data: (remote, bytes) => protocol.channelData(remote, bytes),
    adjustWindow: (remote, bytes) => protocol.channelWindowAdjust(remote, bytes),
    eof: (remote) => protocol.channelEOF(remote),
    close: (remote) => protocol.channelClose(remote),
    refuseRequest: (remote) => protocol.channelFailure(remote),
    ping: () => protocol.ping(),
    rekey: () => protocol.rekey(),
    get exchangingKeys() {
      return protocol._kexinit !== undefined;
    },
  };
}

/**
 * Call it once, right after `client.connect`. Refuses global requests (for hostkeys-00@openssh.com, ssh2 would ask sshd to prove every
 * host key, and end the connection because of an unknown key type), pads packets from a pool, and offers the post-quantum key exchange first.
 */
export function hardenClient(client: Client, socket: Duplex): void {
  const protocol = protocolOf(client);
  offerPostQuantum(protocol);
  protocol._handlers['GLOBAL_REQUEST'] = (_: unknown, _name: string, wantReply: boolean) => {
    if (wantReply) protocol.requestFailure();
  };
  const extensions = protocol._handlers['EXT_INFO'] as (...args: unknown[]) => void;
  protocol._handlers['EXT_INFO'] = (from: unknown, list: readonly { name: string; algs?: readonly string[] }[]) => {
    const algorithms = list.find(({ name }) => name === 'server-sig-algs')?.algs;
    if (algorithms !== undefined) signatureAlgorithms.set(client, algorithms);
    extensions(from, list);
  };
  client.on('handshake', (negotiated) => {
    if (negotiated.cs.cipher.includes('gcm')) packInSlab(protocol._cipher, socket);
  });
}

const signatureAlgorithms = new WeakMap<Client, readonly string[]>();

/** The signature algorithms that the far side takes of users (RFC 8308 §3.1); undefined if it does not say. */
export function acceptedSignatures(client: Client): readonly string[] | undefined {
  return signatureAlgorithms.get(client);
}

/** SSH_MSG_CHANNEL_DATA. */
const channelData = 94;

/** More than our own bytes can be: streams wait at a quarter of it (transmit-gate.ts). */
const maxUnsentBytes = 1024 * 1024;
const maxUnsentMessages = 4096;

/** Messages in a row that mean nothing (RFC 4253 §11.2 to §11.4): no peer sends a thousand of them in a second. */
const maxIdleMessages = 10_000;
const idleMessagesMs = 10_000;

/**
 * Calls back once what waits to be sent is more than we would send by ourselves: answers to a far side that asks and does not read. It is
 * looked at with each message but those that carry bytes, which nobody answers. A flood of messages without a meaning, which look like
 * life, counts as well. Call it once, right after `client.connect`.
 */
export function boundUnsent(client: Client, socket: Duplex, onExcess: () => void): void {
  const protocol = protocolOf(client);
  let idle = 0;
  let idleSince = 0;
  const isFlooded = (type: number): boolean => {
    if (type >= 80 && type <= 100) idle = 0;
    else if (++idle === 1) idleSince = performance.now();
    if (idle < maxIdleMessages) return false;
    idle = 0;
    return performance.now() - idleSince < idleMessagesMs;
  };
  const isUnsent = (): boolean =>
    socket.writableLength > maxUnsentBytes || (protocol._queue?.length ?? 0) > maxUnsentMessages;
  const take = protocol._onPayload;
  protocol._onPayload = (payload) => {
    const type = payload[0] ?? 0;
    if (isFlooded(type) || (type !== channelData && isUnsent())) onExcess();
    // Bytes of a channel are passed on at once; all else may be kept until the memory that was read into is used again (lent-reads.ts).
    const taken = takeExchange(protocol, type === channelData ? payload : Buffer.from(payload), take);
    if (type === keyExchangeInit) allowDuringExchange(protocol);
    return taken;
  };
}

/** What both ends agreed on; only from the key exchange on. */
export const agreedOn = (client: Client): AgreedAlgorithms => exchangeOf(protocolOf(client)).negotiated;

/** Whether both ends run the strict key exchange that closes Terrapin (CVE-2023-48795). */
export function strictKeyExchange(client: Client): boolean {
  return protocolOf(client)._strictMode === true;
}
