// In which order the login methods of one or two sets of credentials are offered, and which are withheld: the set on disk first, then
// the last one that worked; certificate, key, password. A password goes only to a host whose key is in the known_hosts of the same
// Secret. Neighbours: credentials.ts gives the sets, handshake.ts hands each answer to ssh2.
import type { AnyAuthMethod, ParsedKey } from 'ssh2';
import type { Hop } from '../../../../contract/tunnel-config.ts';
import type { UserCertificate } from '../base/ssh2-hardening.ts';
import type { LoginMaterial } from './credentials.ts';

interface Attempt {
  readonly material: LoginMaterial;
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
  /** True when a password is there but this host may not get it. */
  readonly passwordWithheld: boolean;

  /** `hostKey` is the key that the host proved in the key exchange. */
  constructor(hop: Hop, materials: readonly LoginMaterial[], hostKey: Buffer) {
    const trusts = (one: LoginMaterial) => one.knownHosts.verdict(hop.host, hop.port, hostKey) === 'trusted';
    this.#attempts = materials.flatMap((one) => [
      ...keyAttempts(hop.user, one),
      ...passwordAttempts(hop.user, one, trusts(one)),
    ]);
    this.passwordWithheld = materials.some((one) => one.password !== undefined && !trusts(one));
  }

  /** True when no method at all may be tried. */
  get empty(): boolean {
    return this.#attempts.length === 0;
  }

  /** The next method that the server still allows (all while it said nothing); undefined when none is left. */
  next(allowed: readonly string[] | null, partialSuccess: boolean | null): AnyAuthMethod | undefined {
    // A server may demand several methods in its own order: what failed before may succeed now.
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

  /** The set whose method was tried last: the accepted one when the login succeeded. */
  get material(): LoginMaterial | undefined {
    return this.#last?.material;
  }
}

function keyAttempts(username: string, material: LoginMaterial): Attempt[] {
  const { key, certificate } = material;
  if (key === undefined) return [];
  const method: AnyAuthMethod = { type: 'publickey', username, key };
  const plain: Attempt = { material, method };
  return certificate === undefined ? [plain] : [{ material, method: { ...method }, certificate }, plain];
}

function passwordAttempts(username: string, material: LoginMaterial, trusted: boolean): Attempt[] {
  const { password } = material;
  if (password === undefined || !trusted) return [];
  return [
    { material, method: { type: 'password', username, password } },
    {
      material,
      method: {
        type: 'keyboard-interactive',
        username,
        // PAM asks for the password this way; a second question (a one-time code) cannot be answered by a file.
        prompt: (_name, _instructions, _language, prompts, finish) =>
          finish(prompts.map((prompt) => (prompt.echo === true ? '' : password))),
      },
    },
  ];
}
