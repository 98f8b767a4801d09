// How ssh2 presents keys to the far side: with certificates and with every signature algorithm of a key, which it does not know itself.
// Neighbours: ssh2-protocol.ts has the internals; login/authentication.ts decides what is presented.
import type { Client, ParsedKey } from 'ssh2';
import protocolUtils from 'ssh2/lib/protocol/utils.js';
import { sshString } from './ssh-string.ts';
import { exchangeOf, type Protocol, protocolOf } from './ssh2-protocol.ts';

/** What a publickey request says (RFC 4252 §7, PROTOCOL.certkeys). */
export interface PresentedKey {
  /** For example `rsa-sha2-512` or `ssh-ed25519-cert-v01@openssh.com`. */
  readonly algorithm: string;
  readonly signatureAlgorithm: string;
  /** The public key, or a certificate of it. */
  readonly blob: Buffer;
}

/** What the far side may ask of us in one login; sshd itself ends a login after six failures. */
const maxSignatures = 4;
const maxAnswers = 40;

/**
 * Makes the client present each key as `keys` says: ssh2 itself knows no certificates, and only one signature algorithm of a key. Each
 * query gets one signature at most. `onExcess` is called if the far side asks for more than a login needs.
 */
export function presentKeys(client: Client, keys: WeakMap<ParsedKey, PresentedKey>, onExcess: () => void): void {
  const protocol = protocolOf(client);
  let signatures = 0;
  let isQuery = false;
  protocol.authPK = (user, key, _algorithm, sign) => {
    const presented = keys.get(key);
    if (presented === undefined) throw new Error('a key is tried that is not part of the login');
    if (sign !== undefined && (!isQuery || ++signatures > maxSignatures)) return onExcess();
    isQuery = sign === undefined;
    const request = Buffer.concat([
      Buffer.of(50),
      sshString(user),
      sshString('ssh-connection'),
      sshString('publickey'),
      Buffer.of(isQuery ? 0 : 1),
      sshString(presented.algorithm),
      sshString(presented.blob),
    ]);
    if (sign === undefined) return send(protocol, request);
    sign(Buffer.concat([sshString(exchangeOf(protocol).sessionID), request]), (raw) => {
      const signature = protocolUtils.convertSignature(raw, key.type);
      if (!Buffer.isBuffer(signature)) throw new Error('the signature of the key has no ssh form');
      const signed = Buffer.concat([sshString(presented.signatureAlgorithm), sshString(signature)]);
      send(protocol, Buffer.concat([request, sshString(signed)]));
    });
  };
  let answers = 0;
  for (const name of ['USERAUTH_FAILURE', 'USERAUTH_INFO_REQUEST', 'USERAUTH_PK_OK'] as const) {
    const handle = protocol._handlers[name] as (...args: unknown[]) => void;
    protocol._handlers[name] = (...args: unknown[]) => (++answers > maxAnswers ? onExcess() : handle(...args));
  }
}

function send(protocol: Protocol, payload: Buffer): void {
  const writer = protocol._packetRW.write;
  const packet = writer.alloc(payload.length);
  packet.set(payload, writer.allocStart);
  protocol._authsQueue.push('publickey');
  protocolUtils.sendPacket(protocol, writer.finalize(packet));
}
