// Host keys as people see them. Neighbours: login/handshake-error.ts (refusals), channels/session.ts (status).
import { createHash } from 'node:crypto';

/** `SHA256:…` as ssh-keygen -l prints it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
