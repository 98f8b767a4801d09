// Joins the sources of known host keys: the document's knownHosts and the Secret's known_hosts. Also writes a key as a line for
// known_hosts. Pure. Neighbours: known-hosts.ts reads one source, handshake.ts asks.
import { hostKeySignatures } from './algorithms.ts';
import { type HostVerdict, hostName, type KnownHosts, keyTypeOf } from './known-hosts.ts';

/** Several sources as one; a revocation in one outweighs trust in all others. */
export function joinKnownHosts(sources: readonly KnownHosts[]): KnownHosts {
  const order: readonly HostVerdict[] = ['revoked', 'trusted', 'changed'];
  return {
    verdict(host, port, blob) {
      const verdicts = sources.map((source) => source.verdict(host, port, blob));
      return order.find((one) => verdicts.includes(one)) ?? 'unknown';
    },
    knownKeyTypes: (host, port) => [...new Set(sources.flatMap((source) => source.knownKeyTypes(host, port)))],
    hasAuthority: (host, port) => sources.some((source) => source.hasAuthority(host, port)),
    lineFor(host, port, blob) {
      const found = sources.filter((source) => source.lineFor(host, port, blob) !== undefined);
      const revoking = found.find((source) => source.verdict(host, port, blob) === 'revoked');
      return (revoking ?? found[0])?.lineFor(host, port, blob);
    },
  };
}

/** Host key algorithms to offer, best first: those of the known types; if none is known all modern ones, so that the error can name the key. */
export function hostKeyAlgorithms(knownTypes: readonly string[]): readonly string[] {
  const types = Object.keys(hostKeySignatures);
  const known = types.filter((type) => knownTypes.includes(type));
  return (known.length > 0 ? known : types).flatMap((type) => hostKeySignatures[type] ?? []);
}

/** The line to add to known_hosts for this key. */
export function knownHostsLine(host: string, port: number, blob: Buffer): string {
  return `${hostName(host, port)} ${keyTypeOf(blob)} ${blob.toString('base64')}`;
}
