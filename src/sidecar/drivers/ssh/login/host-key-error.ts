// The errors for host keys that are not known, not proved or not offered. Pure.
// Neighbours: handshake.ts and handshake-error.ts throw them, known-hosts.ts and host-trust.ts decide.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { fingerprint } from '../base/fingerprint.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import { hostKeySignatures } from './algorithms.ts';
import { knownHostsLine } from './host-trust.ts';
import type { HostVerdict } from './known-hosts.ts';

/** The error for a host key that must not be used. */
export function hostKeyError(
  hop: Hop,
  role: HopRole,
  verdict: HostVerdict,
  blob: Buffer,
  hasAuthority: boolean,
): TunnelError {
  const name = hopName(role, hop);
  const print = fingerprint(blob);
  if (verdict === 'revoked') {
    return new TunnelError(
      'HostKeyRevoked',
      `${name} shows the host key ${print}, which known_hosts revokes: give it a new key`,
    );
  }
  if (verdict === 'changed') {
    return new TunnelError(
      'HostKeyChanged',
      `${name} shows the host key ${print}, but another one is known for it: find out why, then replace its line in known_hosts`,
    );
  }
  const authority = hasAuthority
    ? ' (its @cert-authority line cannot be used: host certificates are not supported)'
    : '';
  const line = knownHostsLine(hop.host, hop.port, blob);
  return new TunnelError(
    'HostKeyUnknown',
    `the host key ${print} of ${name} is not known${authority}: compare it, then add to knownHosts: ${line}`,
  );
}

/** The error for a key that was shown, but with a signature that is not of it: whoever answers does not have its private half. */
export function hostKeyNotProved(name: string, cause: unknown): TunnelError {
  return new TunnelError(
    'HostKeyNotProved',
    `${name} shows a host key but cannot prove that it has it: somebody in between may replay it, find out who answers there`,
    { cause },
  );
}

/** The error if no host key of a known type is offered; `offered` is the far side's list of signature algorithms. */
export function hostKeyNotOffered(
  name: string,
  knownTypes: readonly string[],
  offered: readonly string[],
  cause: unknown,
): TunnelError {
  const failed = (sentence: string) => new TunnelError('HandshakeFailed', `${name} ${sentence}`, { cause });
  const types = knownTypes.length > 0 ? knownTypes : Object.keys(hostKeySignatures);
  if (types.includes('ssh-rsa') && offered.includes('ssh-rsa')) {
    return failed(
      'offers its RSA key only with SHA-1 signatures: update its sshd, or give it an ed25519 key and put its line into known_hosts',
    );
  }
  const certificate = (type: string) =>
    (hostKeySignatures[type] ?? []).some((signature) => offered.includes(`${signature}-cert-v01@openssh.com`));
  if (types.some(certificate)) {
    return failed(
      'shows only a host certificate, which is not supported: let it offer the plain key too (HostKeyAlgorithms in its sshd_config)',
    );
  }
  if (knownTypes.length > 0) {
    return new TunnelError(
      'HostKeyChanged',
      `${name} no longer has a host key of the known type (${knownTypes.join(', ')}): find out why, then put its new line into known_hosts`,
      { cause },
    );
  }
  return failed('has no host key of a type that is supported: give it an ed25519 key');
}
