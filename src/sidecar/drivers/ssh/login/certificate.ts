// Reads an OpenSSH user certificate (`ssh-publickey-cert`, PROTOCOL.certkeys): the bytes that are sent instead of the public key, and
// what it says of itself. Neighbours: credentials.ts, ../base/ssh2-login.ts (ssh2 itself does not support certificates).
import { SshReader, sshString } from '../base/ssh-string.ts';

export interface Certificate {
  /** For example `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string;
  readonly blob: Buffer;
  /** Unix seconds; 0 if it is valid from the beginning. */
  readonly validAfter: number;
  /** Unix seconds; Infinity if it never expires. */
  readonly validBefore: number;
  /** The users that it is for; for every user if none. */
  readonly principals: readonly string[];
  /** False if its authority left out `permit-port-forwarding`: sshd then refuses every destination. */
  readonly permitsForwarding: boolean;
  /** What the public key of its type holds, without the type. */
  readonly publicKey: Buffer;
}

/** The certificate's type field: 1 for users, 2 for hosts. */
const userCertificate = 1;

/** Strings of the type's public key, between nonce and serial number. */
const keyFields: Readonly<Record<string, number>> = {
  'ssh-ed25519-cert-v01@openssh.com': 1,
  'ssh-rsa-cert-v01@openssh.com': 2,
  'ecdsa-sha2-nistp256-cert-v01@openssh.com': 2,
  'ecdsa-sha2-nistp384-cert-v01@openssh.com': 2,
  'ecdsa-sha2-nistp521-cert-v01@openssh.com': 2,
};

/** Undefined if the text is not a user certificate of a type that ssh uses. */
export function parseCertificate(text: string): Certificate | undefined {
  const [type = '', base64 = ''] = text.trim().split(/\s+/);
  const fields = keyFields[type];
  if (fields === undefined) return undefined;
  const blob = Buffer.from(base64, 'base64');
  try {
    const reader = new SshReader(blob);
    if (reader.string().toString('latin1') !== type) return undefined;
    reader.string(); // Nonce.
    const publicKey = Buffer.concat(Array.from({ length: fields }, () => sshString(reader.string())));
    reader.uint64(); // Serial number.
    const isUser = reader.uint32() === userCertificate;
    reader.string(); // Key id.
    const principals = stringsIn(reader.string());
    const validAfter = reader.uint64();
    const validBefore = reader.uint64();
    reader.string(); // Critical options.
    const extensions = stringsIn(reader.string());
    if (!isUser) return undefined;
    return {
      type,
      blob,
      principals,
      publicKey,
      // Names and values take turns.
      permitsForwarding: extensions.some((text, index) => index % 2 === 0 && text === 'permit-port-forwarding'),
      validAfter: Number(validAfter),
      validBefore: validBefore === 0xffff_ffff_ffff_ffffn ? Number.POSITIVE_INFINITY : Number(validBefore),
    };
  } catch {
    return undefined;
  }
}

/** Packed one after the other, without a count. */
function stringsIn(packed: Buffer): string[] {
  const reader = new SshReader(packed);
  const found: string[] = [];
  for (let at = 0; at < packed.length; ) {
    const value = reader.string();
    found.push(value.toString('utf8'));
    at += 4 + value.length;
  }
  return found;
}
