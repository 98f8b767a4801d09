// What may be told of a credential set: public halves and dates, never a secret. For `doctor`. Pure.
// Neighbours: ../connect.ts notes it before the login, authentication.ts names each method.
import { quoted } from '../../../base/trace.ts';
import { fingerprint } from '../base/fingerprint.ts';
import type { CredentialSet } from './credentials.ts';

/** One sentence for each thing that the Secret holds. */
export function credentialFacts({ secretName, key, certificate, password }: CredentialSet): string[] {
  const facts: string[] = [];
  if (key !== undefined) facts.push(`key ${key.type} ${fingerprint(key.getPublicSSH())}`);
  if (certificate !== undefined) {
    const { principals, validBefore, permitsForwarding } = certificate;
    const users = principals.length === 0 ? 'every user' : principals.slice(0, 4).map(quoted).join(', ');
    const end = dateOf(validBefore);
    facts.push(
      `certificate for ${users}, valid ${end === undefined ? 'without end' : `until ${end}`}${permitsForwarding ? '' : ', without permit-port-forwarding'}`,
    );
  }
  if (password !== undefined) facts.push('a password');
  return facts.map((fact) => `Secret ${secretName}: ${fact}`);
}

/** Undefined for a certificate that never expires, and for a year that no calendar has. */
function dateOf(unixSeconds: number): string | undefined {
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
