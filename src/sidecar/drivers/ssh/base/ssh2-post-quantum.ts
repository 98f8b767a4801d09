// The key exchange mlkem768x25519-sha256, which ssh2 does not have (draft-ietf-sshm-mlkem-hybrid-kex; OpenSSH 10's first choice). ssh2's own
// curve25519-sha256 runs in its place, with keys, secret and both offers replaced by those of the hybrid; host key, signature and all
// that follows stay ssh2's. docs/decisions/0011 says why.
// Neighbours: ssh2-protocol.ts has the internals, ssh2-hardening.ts calls it, ../login/algorithms.ts has the order.
import crypto, { createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { SshReader, sshString } from './ssh-string.ts';
import { keyExchangeInit } from './ssh2-exchange.ts';
import type { KeyExchange, Protocol } from './ssh2-protocol.ts';

export const postQuantumExchange = 'mlkem768x25519-sha256';
const replaced = 'curve25519-sha256';

/** Node has ML-KEM since 24.7, unless its OpenSSL is restricted (FIPS); a laptop may have an older one. */
const hasPostQuantum: boolean = canMakeKeys();

function canMakeKeys(): boolean {
  try {
    generateKeyPairSync('ml-kem-768');
    return typeof crypto.decapsulate === 'function';
  } catch {
    return false;
  }
}

const publicKeyBytes = 1184;
const ciphertextBytes = 1088;
const pointBytes = 32;

/** SSH_MSG_KEX_ECDH_INIT. */
const exchangeStart = 30;
/** Of a KEXINIT: its type and its cookie stand before the names. */
const namesAt = 17;

/** Offers it before everything else. Call it once, right after `client.connect`: the offer is sent after the far side's version line. */
export function offerPostQuantum(protocol: Protocol): void {
  if (!hasPostQuantum) return;
  const { lists } = protocol._offer;
  const names = sshString(`${postQuantumExchange},${lists.kex.buffer.toString('latin1')}`);
  lists.all = Buffer.concat([names, lists.all.subarray(4 + lists.kex.buffer.length)]);
  protocol._offer.totalSize = lists.all.length;
  const onVersion = protocol._onHeader;
  protocol._onHeader = (header) => {
    onVersion(header);
    const { _decipher: decipher } = protocol;
    if (decipher === undefined) return;
    const take = decipher._onPayload;
    decipher._onPayload = (payload) => takeExchange(protocol, payload, take);
  };
}

/** What ssh2 does with a payload, by `take`; the far side's KEXINIT begins the hybrid if it offers that. */
export function takeExchange(protocol: Protocol, payload: Buffer, take: (payload: Buffer) => unknown): unknown {
  const translated = payload[0] === keyExchangeInit && hasPostQuantum ? asCurve(payload) : undefined;
  if (translated === undefined) return take(payload);
  const before = protocol._kex;
  // The start of the exchange that ssh2 would send is not the hybrid's.
  const { _cipher: cipher } = protocol;
  // Its class has the method itself; the native engine may have put another in its place.
  const own = Object.getOwnPropertyDescriptor(cipher, 'encrypt');
  const encrypt = cipher.encrypt.bind(cipher);
  cipher.encrypt = (packet) => {
    if (packet[protocol._packetRW.write.allocStartKEX] !== exchangeStart) encrypt(packet);
  };
  let taken: unknown;
  try {
    taken = take(translated);
  } finally {
    if (own === undefined) Reflect.deleteProperty(cipher, 'encrypt');
    else Object.defineProperty(cipher, 'encrypt', own);
  }
  const exchange = protocol._kex;
  if (exchange === undefined || exchange === before) return taken;
  exchange._remoteKexinit = payload;
  becomeHybrid(exchange);
  exchange.start();
  return taken;
}

/** The far side's offer with the curve's name for the hybrid's, which is our first choice; undefined if it does not offer the hybrid. */
function asCurve(payload: Buffer): Buffer | undefined {
  try {
    const list = new SshReader(payload, namesAt).string();
    const names = list.toString('latin1').split(',');
    if (!names.includes(postQuantumExchange)) return undefined;
    const others = names.map((name) => (name === postQuantumExchange ? replaced : name));
    const rest = payload.subarray(namesAt + 4 + list.length);
    return Buffer.concat([payload.subarray(0, namesAt), sshString(others.join(',')), rest]);
  } catch {
    // ssh2 says what is wrong with it.
    return undefined;
  }
}

function becomeHybrid(exchange: KeyExchange): void {
  const lattice = generateKeyPairSync('ml-kem-768');
  const curve = generateKeyPairSync('x25519');
  // Both encodings end with the key itself.
  const ours = Buffer.concat([
    lattice.publicKey.export({ type: 'spki', format: 'der' }).subarray(-publicKeyBytes),
    curve.publicKey.export({ type: 'spki', format: 'der' }).subarray(-pointBytes),
  ]);
  exchange.negotiated.kex = postQuantumExchange;
  exchange.getPublicKey = () => ours;
  exchange.convertPublicKey = (theirs) => theirs;
  // A string in the hash that is signed, not a number as the curve's (§2.4 of the draft).
  exchange.computeSecret = (theirs) => {
    try {
      if (theirs.length !== ciphertextBytes + pointBytes) throw new Error('the answer has another length');
      const x = theirs.subarray(ciphertextBytes).toString('base64url');
      const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
      return createHash('sha256')
        .update(crypto.decapsulate(lattice.privateKey, theirs.subarray(0, ciphertextBytes)))
        .update(diffieHellman({ privateKey: curve.privateKey, publicKey }))
        .digest();
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  };
}
