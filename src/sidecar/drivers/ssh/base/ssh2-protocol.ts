// ssh2's protocol object: the parts of it outside its public API that the files ssh2-*.ts here, and no others, use. The version is checked
// when the module loads, the shape at each use.
// Neighbours: ssh2-hardening.ts (channels, bounds), ssh2-exchange.ts and ssh2-post-quantum.ts (key exchange), ssh2-login.ts (keys).
import type { Client, ParsedKey } from 'ssh2';
import crypto from 'ssh2/lib/protocol/crypto.js';
import ssh2Package from 'ssh2/package.json' with { type: 'json' };

const pinnedVersion = '1.17.0';
if (ssh2Package.version !== pinnedVersion) {
  throw new Error(`ssh2 ${ssh2Package.version} is installed, but its hardening is written for ${pinnedVersion}`);
}

/** True if ssh2's native crypto is loaded; without it packets cost two to four times the CPU time. */
export const nativeCrypto: boolean = crypto.bindingAvailable;

/** True if that crypto is our own build, which gives the keys of AES-GCM: without them the native engine can take no session. */
export function givesKeys(): boolean {
  if (!nativeCrypto) return false;
  const cipherInfo = crypto.CIPHER_INFO['aes128-gcm@openssh.com'];
  const keys = { cipherKey: Buffer.alloc(16), cipherIV: Buffer.alloc(12) };
  const cipher = crypto.createCipher({ outbound: { onWrite: () => undefined, seqno: 0, cipherInfo, ...keys } });
  const gives = cipher._instance?.key !== undefined;
  cipher.free();
  return gives;
}

export const whyNoKeys = 'ssh’s native crypto is missing, or is not the build that gives it the keys';

/** What both ends agreed on in a key exchange. */
export interface AgreedAlgorithms {
  kex: string;
  readonly serverHostKey: string;
  readonly cs: { readonly cipher: string };
}

/** One direction of the native AES-GCM. Only our own build of ssh2's binding has the methods. */
export interface NativeCipher {
  key?(): Buffer;
  /** Of the next packet. */
  iv?(): Buffer;
}

export interface Cipher {
  allocPacket(payloadBytes: number): Buffer;
  encrypt(packet: Buffer): void;
  /** Only the native ciphers have it. */
  readonly _instance?: NativeCipher;
}

export interface Decipher {
  _onPayload: (payload: Buffer) => unknown;
  /** Only the native ciphers have it. */
  readonly _instance?: NativeCipher;
  /** Only AES-GCM has it, and what follows: the tag, and what is here of the packet under way, which is not decrypted before it is whole. */
  readonly _tag?: Buffer;
  readonly _tagPos?: number;
  /** How many bytes of a packet's length are here, and their value; 0 between packets. */
  readonly _lenBytes?: number;
  readonly _len?: number;
  readonly _packet?: Uint8Array | null;
  readonly _pktLen?: number;
}

/** One exchange, until the next begins. */
export interface KeyExchange {
  readonly sessionID: Buffer;
  readonly negotiated: AgreedAlgorithms;
  _remoteKexinit: Buffer;
  start(): void;
  getPublicKey(): Buffer;
  convertPublicKey(theirs: Buffer): Buffer;
  computeSecret(theirs: Buffer): Buffer | Error;
}

export interface Protocol {
  _handlers: Record<string, unknown>;
  _kexinit: unknown;
  _onPayload: (payload: Buffer) => unknown;
  /** Called at the end of each key exchange, before what waited for it is sent. */
  _onHandshakeComplete: (negotiated: AgreedAlgorithms) => void;
  /** Undefined once the connection is given up. */
  _destruct: unknown;
  /** What waits for the end of a key exchange. */
  _queue: readonly Buffer[] | undefined;
  _strictMode: boolean | undefined;
  /** Undefined before the first exchange. */
  _kex: KeyExchange | undefined;
  /** Our KEXINIT: ssh2 negotiates by its own list of names; `all` is what is sent. */
  _offer: { totalSize: number; readonly lists: { all: Buffer; readonly kex: { readonly buffer: Buffer } } };
  _onHeader: (header: unknown) => void;
  _cipher: Cipher;
  /** Made anew by each key exchange; while one runs, its messages go to the exchange alone. */
  _decipher: Decipher | undefined;
  _packetRW: {
    write: {
      allocStart: number;
      allocStartKEX: number;
      alloc(bytes: number): Buffer;
      finalize(packet: Buffer): Buffer;
    };
  };
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

export type Sign = (data: Buffer, use: (signature: Buffer) => void) => void;

/** The exchange that gave the keys in use. @throws Error before the first one. */
export function exchangeOf({ _kex: exchange }: Protocol): KeyExchange {
  if (exchange === undefined) throw new Error('there was no key exchange yet');
  return exchange;
}

/** @throws Error before `client.connect`. */
export function protocolOf(client: Client): Protocol {
  const { _protocol: protocol } = client as unknown as { _protocol?: Protocol };
  if (protocol?._handlers === undefined) throw new Error('an ssh2 client without a protocol cannot be hardened');
  return protocol;
}
