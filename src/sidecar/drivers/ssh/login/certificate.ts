// Reads an OpenSSH user certificate (`ssh-publickey-cert`, PROTOCOL.certkeys): the bytes that are sent instead of the public key, and
// until when they are valid. Neighbours: credentials.ts, ../base/ssh2-hardening.ts (ssh2 itself does not support certificates).
import { SshReader } from '../base/ssh-string.ts';

export interface Certificate {
  /** For example `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string;
  readonly blob: Buffer;
  /** Unix seconds; Infinity if it never expires. */
  readonly validBefore: number;
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
    const nonceAndKey = 1 + fields;
    for (let skipped = 0; skipped < nonceAndKey; skipped++) reader.string();
    reader.uint64(); // Serial number.
    const isUser = reader.uint32() === userCertificate;
    reader.string(); // Key id.
    reader.string(); // Principals.
    reader.uint64(); // Valid after.
    const validBefore = reader.uint64();
    if (!isUser) return undefined;
    return {
      type,
      blob,
      validBefore: validBefore === 0xffff_ffff_ffff_ffffn ? Number.POSITIVE_INFINITY : Number(validBefore),
    };
  } catch {
    return undefined;
  }
}
