// Which ServiceAccount we are: read from our own token, so that no request and no right is needed.
// Neighbours: credentials.ts (sends the token), ../leaderelection/ (lets the account own the Lease).
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { OwnerReference } from '../base/object.ts';

/** The private claim of a bound token. Source: kubernetes.io, "Managing Service Accounts", bound service account tokens. */
const claims = z.object({
  'kubernetes.io': z.object({ serviceaccount: z.object({ name: z.string().min(1), uid: z.string().min(1) }) }),
});

/**
 * The account of a token, as the owner of objects in its namespace; undefined for what is no bound token of Kubernetes 1.21 or later.
 * The signature is not checked: it is our own token, and the API server judges what we write.
 */
export function accountOf(token: string): OwnerReference | undefined {
  const [, payload = ''] = token.trim().split('.');
  try {
    const decoded: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    const { name, uid } = claims.parse(decoded)['kubernetes.io'].serviceaccount;
    return { apiVersion: 'v1', kind: 'ServiceAccount', name, uid };
  } catch {
    return undefined;
  }
}

/** The same for the file of a token; undefined if there is none, as on a laptop. */
export function accountOfFile(path: string): OwnerReference | undefined {
  try {
    return accountOf(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
