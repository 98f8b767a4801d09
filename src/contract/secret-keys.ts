// The documented keys of the Secrets that tunnels use: what the operator mounts is what a driver reads. Data only.
// Neighbours: secrets.ts (of a document), sidecar/base/secret-files.ts (reads them).
import type { SpecDriver } from './api/effective.ts';

/** The documented keys, by driver. `identity` is another name of `ssh-privatekey` (Flux writes it). */
export const secretKeys = {
  ssh: ['ssh-privatekey', 'identity', 'ssh-publickey-cert', 'passphrase', 'password', 'known_hosts'],
  ssm: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
  fly: ['FLY_API_TOKEN'],
} as const satisfies Readonly<Record<SpecDriver, readonly string[]>>;
