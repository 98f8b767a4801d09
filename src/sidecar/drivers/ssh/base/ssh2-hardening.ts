// The single file that touches ssh2's internals. ssh2 keeps key exchange, ciphers and authentication; its channel layer is replaced:
// the handlers of channel messages become ours, so windows, back-pressure, endings and reasons are decided in session.ts and
// channel-stream.ts. Because nothing here is public API, the version is asserted when the module loads and the shape at each use.
import { randomFillSync } from 'node:crypto';
import type { Client, ParsedKey } from 'ssh2';
import crypto from 'ssh2/lib/protocol/crypto.js';
import protocolUtils from 'ssh2/lib/protocol/utils.js';
import ssh2Package from 'ssh2/package.json' with { type: 'json' };

const pinnedVersion = '1.17.0';
if (ssh2Package.version !== pinnedVersion) {
  throw new Error(`ssh2 ${ssh2Package.version} is installed, but its hardening is written for ${pinnedVersion}`);
}

/** True when ssh2's native crypto is loaded; without it packets cost two to four times the CPU. */
export const nativeCrypto: boolean = crypto.bindingAvailable;

/** RFC 4253 §6.1: what every implementation must take as the payload of one packet, and what we ask for. */
export const maxPacketBytes = 32 * 1024;

/** What the far side says about channels (RFC 4254 §5). `local` is the id that we gave. */
export interface ChannelEvents {
  opened(local: number, remote: number, window: number, maxPacket: number): void;
  openFailed(local: number, reason: number, description: string): void;
  data(local: number, bytes: Buffer): void;
  /** Bytes of a second data stream, which no forwarded channel has: to be credited and dropped. */
  extendedData(local: number, length: number): void;
  windowAdjusted(local: number, bytes: number): void;
  eof(local: number): void;
  closed(local: number): void;
  /** A channel request that waits for an answer (sshd's ClientAliveInterval asks this way). */
  replyWanted(local: number): void;
}

/** What we say about channels. The caller sends nothing after the connection is lost. */
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
  /** Begins a key re-exchange, unless one runs. */
  rekey(): void;
  /** True while keys are exchanged: what is sent meanwhile queues in memory, so bulk data must wait. */
  readonly exchangingKeys: boolean;
}

interface Cipher {
  allocPacket(payloadBytes: number): Buffer;
}

interface Protocol {
  _handlers: Record<string, unknown>;
  _kexinit: unknown;
  _strictMode: boolean | undefined;
  _kex: { readonly sessionID: Buffer };
  _cipher: Cipher;
  _packetRW: { write: { allocStart: number; alloc(bytes: number): Buffer; finalize(packet: Buffer): Buffer } };
  _authsQueue: string[];
  authPK(user: string, key: ParsedKey, algorithm?: string, sign?: Sign): void;
  directTcpip(local: number, window: number, maxPacket: number, options: object): void;
  openssh_directStreamLocal(local: number, window: number, maxPacket: number, options: object): void;
  channelData(remote: number, bytes: Buffer): void;
  channelWindowAdjust(remote: number, bytes: number): void;
  channelEOF(remote: number): void;
  channelClose(remote: number): void;
  channelFailure(remote: number): void;
  requestFailure(): void;
  ping(): void;
  rekey(): void;
}

type Sign = (data: Buffer, use: (signature: Buffer) => void) => void;

function protocolOf(client: Client): Protocol {
  const { _protocol: protocol } = client as unknown as { _protocol?: Protocol };
  if (protocol?._handlers === undefined) throw new Error('an ssh2 client without a protocol cannot be hardened');
  return protocol;
}

/** Takes the channels of an authenticated client into our hands. */
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
  });
  return {
    openTcp: (local, window, host, port) =>
      // The origin is only written to sshd's log; ours would tell a pod address to the bastion.
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
 * To be called once, right after `client.connect`. Refuses global requests (ssh2 would ask sshd to prove every host key of
 * hostkeys-00@openssh.com and ends the connection over a key type that it does not know), and pads packets from a pool.
 */
export function hardenClient(client: Client): void {
  const protocol = protocolOf(client);
  protocol._handlers['GLOBAL_REQUEST'] = (_: unknown, _name: string, wantReply: boolean) => {
    if (wantReply) protocol.requestFailure();
  };
  client.on('handshake', (negotiated) => {
    if (negotiated.cs.cipher.includes('gcm')) padFromPool(protocol._cipher);
  });
}

/** Whether both ends run the strict key exchange that closes Terrapin (CVE-2023-48795). */
export function strictKeyExchange(client: Client): boolean {
  return protocolOf(client)._strictMode === true;
}

const gcmBlockBytes = 16;
const pool = Buffer.allocUnsafe(16 * 1024);
let poolUsed = pool.length;

/** One system call per thousand packets instead of one per packet (2.6 µs each, measured). RFC 5647 §7.2, RFC 4253 §6. */
function padFromPool(cipher: Cipher): void {
  const probe = cipher.allocPacket(0);
  // The native cipher writes its tag behind the packet, in the same buffer; the JavaScript one does not.
  const tagBytes = probe.length - 4 - probe.readUInt32BE(0);
  cipher.allocPacket = (payloadBytes) => {
    let padding = gcmBlockBytes - ((1 + payloadBytes) % gcmBlockBytes);
    if (padding < 4) padding += gcmBlockBytes;
    const length = 1 + payloadBytes + padding;
    const packet = Buffer.allocUnsafe(4 + length + tagBytes);
    packet.writeUInt32BE(length, 0);
    packet[4] = padding;
    if (poolUsed + padding > pool.length) {
      randomFillSync(pool);
      poolUsed = 0;
    }
    pool.copy(packet, 5 + payloadBytes, poolUsed, poolUsed + padding);
    poolUsed += padding;
    return packet;
  };
}

/** A user certificate (PROTOCOL.certkeys) that is sent in place of its public key. */
export interface UserCertificate {
  readonly blob: Buffer;
}

/** Makes the client present the certificate that belongs to a key, where `certificates` has one. ssh2 knows none by itself. */
export function presentCertificates(client: Client, certificates: WeakMap<ParsedKey, UserCertificate>): void {
  const protocol = protocolOf(client);
  const plain = protocol.authPK.bind(protocol);
  protocol.authPK = (user, key, algorithm, sign) => {
    const certificate = certificates.get(key);
    if (certificate === undefined) return plain(user, key, algorithm, sign);
    const signatureAlgorithm = algorithm ?? key.type;
    const request = Buffer.concat([
      Buffer.of(50),
      sshString(user),
      sshString('ssh-connection'),
      sshString('publickey'),
      Buffer.of(sign === undefined ? 0 : 1),
      sshString(`${signatureAlgorithm}-cert-v01@openssh.com`),
      sshString(certificate.blob),
    ]);
    if (sign === undefined) return send(protocol, request);
    sign(Buffer.concat([sshString(protocol._kex.sessionID), request]), (raw) => {
      const signature = protocolUtils.convertSignature(raw, key.type);
      if (!Buffer.isBuffer(signature)) throw new Error('the signature of the key has no ssh form');
      const signed = Buffer.concat([sshString(signatureAlgorithm), sshString(signature)]);
      send(protocol, Buffer.concat([request, sshString(signed)]));
    });
  };
}

function send(protocol: Protocol, payload: Buffer): void {
  const writer = protocol._packetRW.write;
  const packet = writer.alloc(payload.length);
  packet.set(payload, writer.allocStart);
  protocol._authsQueue.push('publickey');
  protocolUtils.sendPacket(protocol, writer.finalize(packet));
}

function sshString(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
