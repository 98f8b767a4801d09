// Turns each failure of a handshake into an error with its own code and sentence, by how far the handshake came. ssh2 distinguishes failures
// only by `level` and message, so they are parsed here; far-side text never enters a sentence. Pure.
// Neighbours: handshake.ts and tcp-connect.ts call it; login-error.ts and host-key-error.ts have the failures of those two steps.
import { type Code, TunnelError } from '../../../../contract/errors.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { type HopRole, hopName } from '../base/hop-name.ts';
import { isOwnFault, ownFault } from '../base/own-fault.ts';
import { ciphers, keyExchanges, macs, namesOf } from './algorithms.ts';
import type { LoginPlan } from './authentication.ts';
import type { CredentialSet } from './credentials.ts';
import { hostKeyNotOffered, hostKeyNotProved } from './host-key-error.ts';
import { authenticationError, loginInterrupted } from './login-error.ts';
import type { ServerOpening } from './server-opening.ts';

/** How far a handshake came: what was seen last decides what is said. */
export interface HandshakeProgress {
  /** Text, version line and offer of the far side, as far as they came. */
  readonly opening: ServerOpening;
  /** Types of the host keys that are known for the hop. */
  readonly knownTypes: readonly string[];
  readonly hostKeyShown: boolean;
  readonly keysExchanged: boolean;
  /** Set once the far side asked for a login. */
  readonly login: LoginPlan | undefined;
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
  const { opening, login } = progress;
  const { level, code, message } = describe(cause);
  const failure = (as: Code, sentence: string) => new TunnelError(as, `${name} ${sentence}`, { cause });
  if (level === 'client-authentication') return authenticationError(hop, role, login, credentials, cause);
  if (code === tooManyConnections) {
    return failure('BastionRefusing', 'has too many connections: if it stays so, raise its limits');
  }
  if (opening.text.startsWith('HTTP/') || /identification|[Gg]reeting|[Hh]eader/.test(message)) {
    return new TunnelError('HandshakeFailed', `what answers at ${name} is not sshd: correct host and port`, { cause });
  }
  if (message.includes('no matching')) return nothingInCommon(name, progress, message, cause);
  if (/signature|Unsupported host key|host key type/i.test(message) && level === 'handshake' && progress.hostKeyShown) {
    return hostKeyNotProved(name, cause);
  }
  if (/without strict key exchange/.test(message)) {
    return failure(
      'HandshakeFailed',
      'offers chacha20-poly1305 without the strict key exchange, which lets messages be cut out (Terrapin): update its sshd, or enable AES-GCM there',
    );
  }
  if (level === 'handshake' || (level === 'protocol' && opening.offer !== undefined)) {
    return failure(
      'HandshakeFailed',
      'breaks the rules of the key exchange: look into its log, and what stands between',
    );
  }
  if (isOwnFault(cause)) return ownFault(name, cause);
  // sshd says "Too many authentication failures" as a disconnect, after which there is no list of methods left.
  if (login !== undefined && typeof code === 'number') {
    return authenticationError(hop, role, login, credentials, cause);
  }
  return connectionEnded(hop, role, progress, cause);
}

/** The error for a connection that ended: what was seen last tells the causes apart. */
function connectionEnded(hop: Hop, role: HopRole, progress: HandshakeProgress, cause: unknown): TunnelError {
  const name = hopName(role, hop);
  const { opening, login } = progress;
  const lost = (sentence: string) => new TunnelError('BastionLost', `${name} ${sentence}`, { cause });
  if (!opening.hasVersion) return closedBeforeBanner(name, cause, opening.text);
  if (opening.offer === undefined) {
    return lost('closes the connection after its version line: look into its log, and what stands between');
  }
  if (login !== undefined) return loginInterrupted(name, hop, login, cause);
  if (progress.keysExchanged)
    return lost('closed the connection after the key exchange, before the login: look into its log');
  if (progress.hostKeyShown) return lost('closed the connection after it showed its host key: look into its log');
  return lost('closed the connection during the key exchange: look into its log');
}

/** The error for a connection that ends before sshd's banner; `text` is what the far side said instead. */
export function closedBeforeBanner(name: string, cause: unknown, text = ''): TunnelError {
  const refusing = (sentence: string) => new TunnelError('BastionRefusing', `${name} ${sentence}`, { cause });
  if (/exceeded maxstartups/i.test(text)) return refusing('is at its limit of unfinished logins: raise MaxStartups');
  if (/not allowed at this time/i.test(text)) {
    return refusing('penalizes the tunnel’s address for failed logins: exempt it (PerSourcePenaltyExemptList)');
  }
  return refusing(
    'closes connections before it greets: if it stays so, raise MaxStartups, or exempt the tunnel’s address from PerSourcePenalties',
  );
}

function nothingInCommon(name: string, progress: HandshakeProgress, message: string, cause: unknown): TunnelError {
  const { offer } = progress.opening;
  const what = /no matching (.+)/.exec(message)?.[1] ?? '';
  if (what.includes('host key')) return hostKeyNotOffered(name, progress.knownTypes, offer?.hostKeys ?? [], cause);
  const [label, theirs, ours] = what.includes('key exchange')
    ? ['key exchange', offer?.keyExchanges, namesOf(keyExchanges)]
    : what.includes('cipher')
      ? ['cipher', offer?.ciphers, namesOf(ciphers)]
      : ['MAC', offer?.macs, namesOf(macs)];
  return new TunnelError(
    'HandshakeFailed',
    `${name} and the tunnel agree on no ${label}: it offers ${quoted(theirs)}; enable one of ${ours.join(', ')} in its sshd_config`,
    { cause },
  );
}

/** Names of algorithms that the far side sent, in quotation marks; what is no such name is left out. */
function quoted(names: readonly string[] = []): string {
  const usable = names.filter((one) => /^[\w@.+-]{1,64}$/.test(one) && !/^(ext-info-|kex-strict-)/.test(one));
  return usable.length === 0
    ? 'nothing readable'
    : usable
        .slice(0, 8)
        .map((one) => `“${one}”`)
        .join(', ');
}

function describe(error: unknown): { level: unknown; code: unknown; message: string } {
  if (!(error instanceof Error)) return { level: undefined, code: undefined, message: '' };
  return {
    level: 'level' in error ? error.level : undefined,
    code: 'code' in error ? error.code : undefined,
    message: error.message,
  };
}
