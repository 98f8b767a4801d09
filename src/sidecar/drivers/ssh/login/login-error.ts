// The errors of a login: refused, half accepted or broken off. What can be known here of the key and the certificate is said. Pure.
// Neighbours: handshake-error.ts and handshake.ts throw them, authentication.ts knows what was tried.
import { TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import type { LoginPlan } from './authentication.ts';
import type { CredentialSet } from './credentials.ts';

/** The error if no login method may be offered: there is only a password, and this host must not get it. */
export function noLoginError(hop: Hop, role: HopRole, credentials: readonly CredentialSet[]): TunnelError {
  const secret = secretNames(credentials);
  return new TunnelError(
    'PasswordNotTrusted',
    `the password of ${secret} is not sent to ${hopName(role, hop)}: add the host’s line to the key known_hosts of the same Secret`,
  );
}

/** The error for a far side that asks for more signatures or answers than a login needs. */
export function endlessLogin(name: string): TunnelError {
  return new TunnelError(
    'HandshakeFailed',
    `${name} asks for more signatures than a login needs: find out what answers there`,
  );
}

/** The error for a login that was refused, or accepted only in part. */
export function authenticationError(
  hop: Hop,
  role: HopRole,
  login: LoginPlan | undefined,
  credentials: readonly CredentialSet[],
  cause: unknown,
): TunnelError {
  const name = hopName(role, hop);
  if (login !== undefined && login.accepted.length > 0) return halfAccepted(name, hop, login, cause);
  const known = [
    ...new Set(credentials.flatMap((one) => [...certificateNotes(one, hop.user), ...keyNotes(one, login)])),
    ...(login?.passwordWithheld === true ? ['its password was not sent, as its own known_hosts lacks the host'] : []),
  ];
  const notes = known.length > 0 ? known : likelyCauses(credentials);
  return new TunnelError(
    'AuthenticationFailed',
    `${name} does not accept user ${hop.user} with ${secretNames(credentials)}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}: correct the user, the Secret or authorized_keys`,
    { cause },
  );
}

/** The methods of RFC 4252 and RFC 4256 in words; a name that the far side made up is not repeated. */
const demands: Readonly<Record<string, string>> = {
  publickey: 'another key',
  password: 'a password',
  'keyboard-interactive': 'an answer that a person types (keyboard-interactive)',
};
const proofs: Readonly<Record<string, string>> = {
  publickey: 'the key',
  password: 'the password',
  'keyboard-interactive': 'the password',
};

/** The error for a far side that accepted one method and demands another one. */
function halfAccepted(name: string, hop: Hop, { accepted, demanded }: LoginPlan, cause: unknown): TunnelError {
  const got = [...new Set(accepted.map((method) => proofs[method] ?? 'one method'))].join(' and ');
  const wanted = [...new Set(demanded.map((method) => demands[method] ?? 'another method'))].join(' or ');
  return new TunnelError(
    'AuthenticationFailed',
    `${name} accepts ${got} of user ${hop.user}, but demands ${wanted === '' ? 'another method' : wanted} as well: let the tunnel’s user in with ${got} alone (AuthenticationMethods)`,
    { cause },
  );
}

/** The error for a connection that ends in the middle of a login. */
export function loginInterrupted(name: string, hop: Hop, { accepted }: LoginPlan, cause: unknown): TunnelError {
  const when =
    accepted.length > 0
      ? `during the login, after it accepted ${proofs[accepted[0] ?? ''] ?? 'one method'}`
      : 'during the login';
  return new TunnelError(
    'LoginInterrupted',
    `${name} closed the connection ${when}: see whether user ${hop.user} is locked or expired there, whether the machine still starts (pam_nologin), and its log`,
    { cause },
  );
}

function certificateNotes({ certificate, key }: CredentialSet, user: string): string[] {
  if (certificate === undefined || key === undefined) return [];
  const now = Date.now() / 1000;
  const { principals } = certificate;
  const isOfKey = key.getPublicSSH().includes(certificate.publicKey);
  return [
    ...(certificate.validBefore < now ? ['its certificate has expired'] : []),
    ...(certificate.validAfter > now ? ['its certificate is not valid yet'] : []),
    ...(principals.length > 0 && !principals.includes(user) ? ['its certificate is for other users'] : []),
    ...(isOfKey ? [] : ['its certificate belongs to another key']),
  ];
}

/** OpenSSH's own least size of RSA keys is 1,024 bits; distributions and FIPS demand 2,048 or more. */
const largeRsaBits = 4096;

function keyNotes({ key }: CredentialSet, login: LoginPlan | undefined): string[] {
  if (key === undefined || login === undefined) return [];
  const { signatures } = login;
  const isTaken = signatures?.some(
    (one) => one === key.type || (key.type === 'ssh-rsa' && one.startsWith('rsa-sha2-')),
  );
  if (isTaken === false) return [`it says that it takes no key of the type ${key.type}`];
  const bits = key.type === 'ssh-rsa' ? rsaBits(key.getPublicSSH()) : largeRsaBits;
  return bits < largeRsaBits ? [`its RSA key has ${bits} bits, see RequiredRSASize`] : [];
}

/** The public key ends with its modulus, which begins with a zero byte. */
function rsaBits(blob: Buffer): number {
  const exponentAt = 4 + 'ssh-rsa'.length;
  const modulusAt = exponentAt + 4 + blob.readUInt32BE(exponentAt);
  return (blob.readUInt32BE(modulusAt) - 1) * 8;
}

/** Older servers do not say which types of keys they take, so that a refusal for the type looks like any other. */
function likelyCauses(credentials: readonly CredentialSet[]): string[] {
  const types = [...new Set(credentials.flatMap((one) => one.key?.type ?? []))];
  return types.length === 0 ? [] : [`if it knows the key, see its PubkeyAcceptedAlgorithms for ${types.join(' and ')}`];
}

function secretNames(credentials: readonly CredentialSet[]): string {
  return [...new Set(credentials.map((one) => `Secret ${one.secretName}`))].join(' or ');
}
