// Which Secrets a document names and which keys of them a tunnel may see: the controller projects exactly these into the pod, and
// `portforward open` materialises exactly these on a laptop.
// Neighbours: secret-keys.ts (the keys), tunnel-config-of.ts (where the files are), docs/secrets.md.
import { driverOf } from './api/effective.ts';
import type { PortForwardSpec } from './api/portforward.ts';
import { secretKeys } from './secret-keys.ts';

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
