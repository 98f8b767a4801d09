// Reads an OpenSSH user certificate (`ssh-publickey-cert`, PROTOCOL.certkeys): what is sent in place of the public key, and until when
// it holds. Neighbours: credentials.ts, ssh2-hardening.ts (ssh2 knows no certificates).

export interface Certificate {
  /** For example `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string;
  readonly blob: Buffer;
  /** Unix seconds; Infinity for one without an end. */
  readonly validBefore: number;
}

/** How many strings the type's public key has between nonce and serial. */
const keyFields: Readonly<Record<string, number>> = {
  'ssh-ed25519-cert-v01@openssh.com': 1,
  'ssh-rsa-cert-v01@openssh.com': 2,
  'ecdsa-sha2-nistp256-cert-v01@openssh.com': 2,
  'ecdsa-sha2-nistp384-cert-v01@openssh.com': 2,
  'ecdsa-sha2-nistp521-cert-v01@openssh.com': 2,
};

/** Undefined when the text is no user certificate of a type that ssh uses. */
export function parseCertificate(text: string): Certificate | undefined {
  const [type = '', base64 = ''] = text.trim().split(/\s+/);
  const fields = keyFields[type];
  if (fields === undefined) return undefined;
  const blob = Buffer.from(base64, 'base64');
  try {
    let at = 0;
    const string = () => {
      const length = blob.readUInt32BE(at);
      at += 4 + length;
      return blob.subarray(at - length, at);
    };
    if (string().toString('latin1') !== type) return undefined;
    for (let skipped = 0; skipped < 1 + fields; skipped++) string();
    at += 8;
    const isUser = blob.readUInt32BE(at) === 1;
    at += 4;
    string();
    string();
    const validBefore = blob.readBigUInt64BE(at + 8);
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
