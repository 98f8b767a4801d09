// Turns each failure of a handshake into an error with its own code and sentence. ssh2 distinguishes failures only by `level` and message,
// so they are parsed here; remote text never enters a sentence. Pure. Neighbours: handshake.ts, tcp-connect.ts.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { fingerprint } from '../base/fingerprint.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import type { CredentialSet } from './credentials.ts';
import { knownHostsLine } from './host-trust.ts';
import type { HostVerdict } from './known-hosts.ts';

/** How far a handshake came. */
export interface HandshakeProgress {
  /** Begins with `SSH-` if sshd answered at all. */
  readonly firstBytes: string;
  /** Types of the host keys that are known for the hop. */
  readonly knownTypes: readonly string[];
  readonly loginBegan: boolean;
  readonly passwordWithheld: boolean;
}

/** RFC 4253 §11.1: the reason that sshd gives when it has too many connections. */
const tooManyConnections = 12;

/** The error for whatever ssh2, or the socket that it uses, reported. */
export function handshakeError(
  hop: Hop,
  role: HopRole,
  progress: HandshakeProgress,
  cause: unknown,
  credentials: readonly CredentialSet[],
): TunnelError {
  if (cause instanceof TunnelError) return cause;
  const name = hopName(role, hop);
  const { level, code, message } = describe(cause);
  if (level === 'client-authentication') return authenticationError(hop, role, progress, credentials, cause);
  if (code === tooManyConnections) return closedBeforeBanner(name, cause);
  if (progress.firstBytes.startsWith('HTTP/') || /identification|[Gg]reeting|header/.test(message)) {
    return new TunnelError('HandshakeFailed', `what answers at ${name} is not sshd: correct host and port`, { cause });
  }
  if (message.includes('no matching host key format') && progress.knownTypes.length > 0) {
    return new TunnelError(
      'HostKeyChanged',
      `${name} no longer has a host key of the known type (${progress.knownTypes.join(', ')}): find out why, then put its new line into known_hosts`,
      { cause },
    );
  }
  if (level === 'handshake' || /strict key exchange/.test(message)) {
    return new TunnelError(
      'HandshakeFailed',
      `${name} and the tunnel agree on no ${/no matching (.+)/.exec(message)?.[1] ?? 'way to exchange keys'}: enable a current algorithm in its sshd_config`,
      { cause },
    );
  }
  if (!progress.firstBytes.startsWith('SSH-')) return closedBeforeBanner(name, cause);
  // sshd says "Too many authentication failures" as a disconnect, after which there is no list of methods left.
  if (progress.loginBegan && typeof code === 'number') {
    return authenticationError(hop, role, progress, credentials, cause);
  }
  return new TunnelError('BastionLost', `${name} closed the connection during the handshake`, { cause });
}

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

/** The error if no login method may be offered: there is only a password, and this host must not get it. */
export function noLoginError(hop: Hop, role: HopRole, credentials: readonly CredentialSet[]): TunnelError {
  const secret = secretNames(credentials);
  return new TunnelError(
    'PasswordNotTrusted',
    `the password of ${secret} is not sent to ${hopName(role, hop)}: add the host’s line to the key known_hosts of the same Secret`,
  );
}

function authenticationError(
  hop: Hop,
  role: HopRole,
  progress: HandshakeProgress,
  credentials: readonly CredentialSet[],
  cause: unknown,
): TunnelError {
  const now = Date.now() / 1000;
  const expired = credentials.some((one) => one.certificate !== undefined && one.certificate.validBefore < now);
  const notes = [
    expired ? 'its certificate has expired' : '',
    progress.passwordWithheld ? 'its password was not sent, as its own known_hosts lacks the host' : '',
  ].filter((note) => note !== '');
  return new TunnelError(
    'AuthenticationFailed',
    `${hopName(role, hop)} does not accept user ${hop.user} with ${secretNames(credentials)}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}: correct the user, the Secret or authorized_keys`,
    { cause },
  );
}

/** The error for a connection that ends before sshd's banner. */
export function closedBeforeBanner(name: string, cause: unknown): TunnelError {
  return new TunnelError(
    'BastionRefusing',
    `${name} closes connections before it greets: if it stays so, raise MaxStartups, or exempt the tunnel’s address from PerSourcePenalties`,
    { cause },
  );
}

function secretNames(credentials: readonly CredentialSet[]): string {
  return [...new Set(credentials.map((one) => `Secret ${one.secretName}`))].join(' or ');
}

function describe(error: unknown): { level: unknown; code: unknown; message: string } {
  if (!(error instanceof Error)) return { level: undefined, code: undefined, message: '' };
  return {
    level: 'level' in error ? error.level : undefined,
    code: 'code' in error ? error.code : undefined,
    message: error.message,
  };
}
