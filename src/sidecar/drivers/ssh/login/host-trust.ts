// Joins the sources that say which host keys are right: the document's knownHosts and the Secret's known_hosts. Also how a key is shown
// to people. Pure. Neighbours: known-hosts.ts judges one source, handshake.ts asks.
import { type HostVerdict, hostName, type KnownHosts, keyTypeOf } from './known-hosts.ts';

/** Only what is known is offered in the key exchange; RSA keys sign with SHA-2, never with SHA-1 (RFC 8332). */
const algorithmsOfType: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

/** Several sources as one; a revocation in any outweighs trust in every other. */
export function joinKnownHosts(sources: readonly KnownHosts[]): KnownHosts {
  const order: readonly HostVerdict[] = ['revoked', 'trusted', 'changed'];
  return {
    verdict(host, port, blob) {
      const verdicts = sources.map((source) => source.verdict(host, port, blob));
      return order.find((one) => verdicts.includes(one)) ?? 'unknown';
    },
    knownKeyTypes: (host, port) => [...new Set(sources.flatMap((source) => source.knownKeyTypes(host, port)))],
    hasAuthority: (host, port) => sources.some((source) => source.hasAuthority(host, port)),
  };
}

/** Host key algorithms to offer, best first: those of the known types; all modern ones while none is known, so that the key can be told. */
export function hostKeyAlgorithms(knownTypes: readonly string[]): readonly string[] {
  const types = Object.keys(algorithmsOfType);
  const known = types.filter((type) => knownTypes.includes(type));
  return (known.length > 0 ? known : types).flatMap((type) => algorithmsOfType[type] ?? []);
}

/** The line to add to known_hosts for this key. */
export function knownHostsLine(host: string, port: number, blob: Buffer): string {
  return `${hostName(host, port)} ${keyTypeOf(blob)} ${blob.toString('base64')}`;
}
