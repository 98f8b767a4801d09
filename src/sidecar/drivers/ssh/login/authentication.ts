// The order in which the login methods of one or two sets of credentials are offered: the set on disk first, then the last one that
// worked; within a set certificate, key, password. A password goes only to a host whose key is in the known_hosts of the same Secret.
// Neighbours: credentials.ts makes the sets, public-keys.ts the forms of a key, handshake.ts passes each method to ssh2.
import type { AnyAuthMethod, ParsedKey } from 'ssh2';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import { fingerprint } from '../base/fingerprint.ts';
import type { PresentedKey } from '../base/ssh2-login.ts';
import type { CredentialSet } from './credentials.ts';
import { keyForms } from './public-keys.ts';

interface Attempt {
  /** For people, as `key ssh-ed25519 SHA256:… of Secret x`. */
  readonly label: string;
  readonly credentials: CredentialSet;
  readonly method: AnyAuthMethod;
  /** Only after the far side accepted another method and demands this one as well. */
  readonly onlyAsSecond?: true;
}

export interface LoginPlanOptions {
  readonly hop: Hop;
  readonly sets: readonly CredentialSet[];
  /** The key that the host proved in the key exchange. */
  readonly hostKey: Buffer;
  /** The signature algorithms that the host takes; undefined if it does not say. */
  readonly signatures: readonly string[] | undefined;
  /** Called if a person is asked something that no Secret answers. */
  readonly onQuestion: () => void;
}

export class LoginPlan {
  readonly #attempts: readonly Attempt[];
  readonly #tried = new Set<Attempt>();
  #last: Attempt | undefined;
  #accepted: string[] = [];
  #demanded: readonly string[] = [];
  /** Read by `presentKeys` while an attempt runs. */
  readonly keys = new WeakMap<ParsedKey, PresentedKey>();
  /** True if there is a password, but this host must not get it. */
  readonly passwordWithheld: boolean;
  readonly signatures: readonly string[] | undefined;

  constructor({ hop, sets, hostKey, signatures, onQuestion }: LoginPlanOptions) {
    const trusts = (one: CredentialSet) => one.knownHosts.verdict(hop.host, hop.port, hostKey) === 'trusted';
    this.signatures = signatures;
    this.#attempts = sets.flatMap((one) => [
      ...this.#keyAttempts(hop.user, one),
      ...passwordAttempts(hop.user, one, trusts(one)),
      ...questionAttempts(hop.user, one, trusts(one), onQuestion),
    ]);
    this.passwordWithheld = sets.some((one) => one.password !== undefined && !trusts(one));
  }

  /** What was tried last, for people; undefined before the first. */
  get lastLabel(): string | undefined {
    return this.#last?.label;
  }

  /** True if no method at all may be tried. */
  get empty(): boolean {
    return this.#attempts.every((one) => one.onlyAsSecond === true);
  }

  /** The methods that the far side accepted, and demands another one beside them (RFC 4252 §5.1). */
  get accepted(): readonly string[] {
    return this.#accepted;
  }

  /** What it demands beside them. */
  get demanded(): readonly string[] {
    return this.#demanded;
  }

  /** The next method that the server still allows (null: it has not said yet); undefined if none is left. */
  next(allowed: readonly string[] | null, partialSuccess: boolean | null): AnyAuthMethod | undefined {
    // A server may require several methods in its own order: one that failed before may succeed now.
    if (partialSuccess === true) {
      for (const attempt of this.#tried) if (attempt !== this.#last) this.#tried.delete(attempt);
      this.#accepted = [...this.#accepted, ...(this.#last === undefined ? [] : [this.#last.method.type])];
      this.#demanded = allowed ?? [];
    }
    const attempt = this.#attempts.find(
      (one) =>
        !this.#tried.has(one) &&
        (allowed?.includes(one.method.type) ?? true) &&
        (one.onlyAsSecond !== true || this.#accepted.length > 0),
    );
    if (attempt === undefined) return undefined;
    this.#last = attempt;
    this.#tried.add(attempt);
    return attempt.method;
  }

  /** The set whose method was tried last: the accepted one if the login succeeded. */
  get credentials(): CredentialSet | undefined {
    return this.#last?.credentials;
  }

  /** True if the method tried last presents a certificate. */
  get usesCertificate(): boolean {
    const method = this.#last?.method;
    if (method?.type !== 'publickey') return false;
    return this.keys.get(method.key as ParsedKey)?.algorithm.includes('-cert-v01@') === true;
  }

  #keyAttempts(username: string, credentials: CredentialSet): Attempt[] {
    return keyForms(credentials, this.signatures).map(({ key, presented }) => {
      this.keys.set(key, presented);
      const label = `${presented.algorithm} ${fingerprint(key.getPublicSSH())} of Secret ${credentials.secretName}`;
      return { label, credentials, method: { type: 'publickey', username, key } };
    });
  }
}

function passwordAttempts(username: string, credentials: CredentialSet, trusted: boolean): Attempt[] {
  const { password, secretName } = credentials;
  if (password === undefined || !trusted) return [];
  return [
    { label: `the password of Secret ${secretName}`, credentials, method: { type: 'password', username, password } },
    {
      label: `the password of Secret ${secretName} as an answer (keyboard-interactive)`,
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

/** Without a password: some servers ask nothing in this method, and ssh2 answers such a round by itself. */
function questionAttempts(
  username: string,
  credentials: CredentialSet,
  trusted: boolean,
  onQuestion: () => void,
): Attempt[] {
  if (credentials.password !== undefined && trusted) return [];
  const method: AnyAuthMethod = { type: 'keyboard-interactive', username, prompt: onQuestion };
  return [{ label: 'no answer (keyboard-interactive)', credentials, method, onlyAsSecond: true }];
}
