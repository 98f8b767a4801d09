// The order in which the login methods of one or two sets of credentials are offered: the set on disk first, then the last one that
// worked; within a set certificate, key, password. A password goes only to a host whose key is in the known_hosts of the same Secret.
// Neighbours: credentials.ts makes the sets, handshake.ts passes each method to ssh2.
import type { AnyAuthMethod, ParsedKey } from 'ssh2';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import type { UserCertificate } from '../base/ssh2-hardening.ts';
import type { CredentialSet } from './credentials.ts';

interface Attempt {
  readonly credentials: CredentialSet;
  readonly method: AnyAuthMethod;
  /** The certificate to present in place of the key's public half. */
  readonly certificate?: UserCertificate;
}

export class LoginPlan {
  readonly #attempts: readonly Attempt[];
  readonly #tried = new Set<Attempt>();
  #last: Attempt | undefined;
  /** Read by `presentCertificates` while the attempt runs. */
  readonly certificates = new WeakMap<ParsedKey, UserCertificate>();
  /** True if there is a password, but this host must not get it. */
  readonly passwordWithheld: boolean;

  /** `hostKey` is the key that the host proved in the key exchange. */
  constructor(hop: Hop, sets: readonly CredentialSet[], hostKey: Buffer) {
    const trusts = (one: CredentialSet) => one.knownHosts.verdict(hop.host, hop.port, hostKey) === 'trusted';
    this.#attempts = sets.flatMap((one) => [
      ...keyAttempts(hop.user, one),
      ...passwordAttempts(hop.user, one, trusts(one)),
    ]);
    this.passwordWithheld = sets.some((one) => one.password !== undefined && !trusts(one));
  }

  /** True if no method at all may be tried. */
  get empty(): boolean {
    return this.#attempts.length === 0;
  }

  /** The next method that the server still allows (null: it has not said yet); undefined if none is left. */
  next(allowed: readonly string[] | null, partialSuccess: boolean | null): AnyAuthMethod | undefined {
    // A server may require several methods in its own order: one that failed before may succeed now.
    if (partialSuccess === true) {
      for (const attempt of this.#tried) if (attempt !== this.#last) this.#tried.delete(attempt);
    }
    const attempt = this.#attempts.find((one) => !this.#tried.has(one) && (allowed?.includes(one.method.type) ?? true));
    this.#last = attempt;
    if (attempt === undefined) return undefined;
    this.#tried.add(attempt);
    if (attempt.method.type === 'publickey') {
      const key = attempt.method.key as ParsedKey;
      if (attempt.certificate === undefined) this.certificates.delete(key);
      else this.certificates.set(key, attempt.certificate);
    }
    return attempt.method;
  }

  /** The set whose method was tried last: the accepted one if the login succeeded. */
  get credentials(): CredentialSet | undefined {
    return this.#last?.credentials;
  }
}

function keyAttempts(username: string, credentials: CredentialSet): Attempt[] {
  const { key, certificate } = credentials;
  if (key === undefined) return [];
  const method: AnyAuthMethod = { type: 'publickey', username, key };
  const plain: Attempt = { credentials, method };
  return certificate === undefined ? [plain] : [{ credentials, method: { ...method }, certificate }, plain];
}

function passwordAttempts(username: string, credentials: CredentialSet, trusted: boolean): Attempt[] {
  const { password } = credentials;
  if (password === undefined || !trusted) return [];
  return [
    { credentials, method: { type: 'password', username, password } },
    {
      credentials,
      method: {
        type: 'keyboard-interactive',
        username,
        // PAM asks for the password this way; a second question (a one-time code) cannot be answered from a file.
        prompt: (_name, _instructions, _language, prompts, finish) =>
          finish(prompts.map((prompt) => (prompt.echo === true ? '' : password))),
      },
    },
  ];
}
