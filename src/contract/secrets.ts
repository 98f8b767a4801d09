// Which Secrets a document names and which keys of them a tunnel may see: the controller projects exactly these into the pod, and
// `portforward open` materialises exactly these on a laptop.
// Neighbours: tunnel-config-of.ts (where the files are), docs/secrets.md.
import { type Driver, driverOf } from './api/effective.ts';
import type { PortForwardSpec } from './api/portforward.ts';

/** The documented keys, by driver. `identity` is another name of `ssh-privatekey` (Flux writes it). */
export const secretKeys: Readonly<Record<Driver, readonly string[]>> = {
  ssh: ['ssh-privatekey', 'identity', 'ssh-publickey-cert', 'passphrase', 'password', 'known_hosts'],
  ssm: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
  fly: ['FLY_API_TOKEN'],
};

/** The names of the Secrets that a valid spec refers to for credentials, each once, sorted: a reordered list changes nothing. */
export function secretNamesOf(spec: PortForwardSpec): readonly string[] {
  const references = [
    spec.ssh?.secretRef,
    ...(spec.ssh?.bastions ?? []).map((hop) => hop.secretRef),
    ...(spec.ssh?.jumpHosts ?? []).map((hop) => hop.secretRef),
    spec.ssm?.secretRef,
    spec.fly?.secretRef,
  ];
  return [...new Set(references.flatMap((reference) => (reference === undefined ? [] : [reference.name])))].toSorted();
}

/** The keys of its Secrets that the tunnel of this spec may see. */
export const secretKeysOf = (spec: PortForwardSpec): readonly string[] => secretKeys[driverOf(spec)];
