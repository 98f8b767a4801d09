// In which forms one private key is offered: each signature algorithm that it can make, best first, as a certificate and as the bare key.
// Pure. Neighbours: authentication.ts offers them, ../base/ssh2-login.ts writes the requests.
import type { ParsedKey } from 'ssh2';
import type { PresentedKey } from '../base/ssh2-login.ts';
import type { CredentialSet } from './credentials.ts';

export interface KeyForm {
  /** Signs with the form's algorithm. */
  readonly key: ParsedKey;
  readonly presented: PresentedKey;
}

const hashes: Readonly<Record<string, string>> = {
  'rsa-sha2-512': 'sha512',
  'rsa-sha2-256': 'sha256',
  'ssh-rsa': 'sha1',
};

/** `accepted`: what the far side says that it takes; undefined if it does not say. */
export function keyForms({ key, certificate }: CredentialSet, accepted: readonly string[] | undefined): KeyForm[] {
  if (key === undefined) return [];
  const algorithms = signatureAlgorithms(key.type, accepted);
  const plain = algorithms.map((signatureAlgorithm) =>
    form(key, { algorithm: signatureAlgorithm, signatureAlgorithm, blob: key.getPublicSSH() }),
  );
  if (certificate === undefined) return plain;
  const certified = algorithms.map((signatureAlgorithm) =>
    form(key, {
      algorithm: `${signatureAlgorithm}-cert-v01@openssh.com`,
      signatureAlgorithm,
      blob: certificate.blob,
    }),
  );
  return [...certified, ...plain];
}

/** RFC 8332: one RSA key signs in several ways. SHA-1 only for a server that takes nothing better, or does not say what it takes. */
function signatureAlgorithms(type: string, accepted: readonly string[] | undefined): readonly string[] {
  if (type !== 'ssh-rsa') return [type];
  const sha2 = ['rsa-sha2-512', 'rsa-sha2-256'];
  if (accepted === undefined) return [...sha2, 'ssh-rsa'];
  const both = sha2.filter((algorithm) => accepted.includes(algorithm));
  if (both.length > 0) return both;
  return accepted.includes('ssh-rsa') ? ['ssh-rsa'] : sha2;
}

/** ssh2 chooses an algorithm by the key's type and only for `ssh-rsa`: under the name of its algorithm the key keeps ours. */
function form(key: ParsedKey, presented: PresentedKey): KeyForm {
  const hash = hashes[presented.signatureAlgorithm];
  const own: ParsedKey = Object.create(key, {
    type: { value: hash === undefined ? key.type : `${presented.signatureAlgorithm} key` },
    ...(hash === undefined ? {} : { sign: { value: (data: Buffer) => key.sign(data, hash) } }),
  });
  return { key: own, presented };
}
