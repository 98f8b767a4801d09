// The access token in its mounted Secret: read for every request, so that a changed token is in the very next one.
// Neighbours: token.ts makes the header, driver.ts watches the file.
import { TunnelError } from '../../../../contract/errors.ts';
import { secretKeys } from '../../../../contract/secret-keys.ts';
import type { Credentials } from '../../../../contract/tunnel-config.ts';
import { readSecretFiles } from '../../../base/secret-files.ts';
import { authorization } from './token.ts';

export class TokenFile {
  readonly #credentials: Credentials;
  /** The content that fly.io has accepted last, and for which requests: a token may allow some and not others. */
  #accepted: { readonly digest: string | undefined; readonly operations: Set<string> } = {
    digest: undefined,
    operations: new Set(),
  };
  #asked: string | undefined;
  /** The header of what was read last, and of what the peers' organization accepted last. */
  #header: string | undefined;
  #acceptedHeader: string | undefined;

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** The Authorization header for the token as it is now. @throws TunnelError TokenMissing */
  async authorization(): Promise<string> {
    const { directory, secretName } = this.#credentials;
    const { files, digest } = await readSecretFiles(directory, secretKeys.fly);
    this.#asked = digest;
    this.#header = undefined;
    const text = files.FLY_API_TOKEN;
    if (text === undefined) {
      // A pod mounts both alike.
      const sentence = `Secret ${secretName} does not exist or has no key FLY_API_TOKEN: create it in the PortForward’s namespace`;
      throw new TunnelError('TokenMissing', sentence);
    }
    const header = authorization(text);
    if (header === undefined) {
      throw new TunnelError(
        'TokenMissing',
        `FLY_API_TOKEN of Secret ${secretName} holds no token: put one there, on one line`,
      );
    }
    this.#header = header;
    return header;
  }

  /** The header of the token that the peers' organization accepted last, if the Secret holds another one now, or none. */
  get formerAuthorization(): string | undefined {
    return this.#acceptedHeader === this.#header ? undefined : this.#acceptedHeader;
  }

  /** fly.io did what was asked with the token as it was read last. */
  accepted(operation: string, { isOfOrganization }: { readonly isOfOrganization: boolean }): void {
    if (this.#accepted.digest !== this.#asked) this.#accepted = { digest: this.#asked, operations: new Set() };
    this.#accepted.operations.add(operation);
    if (isOfOrganization) this.#acceptedHeader = this.#header;
  }

  /** A token that was accepted before for the same request and is refused now has expired or was revoked. */
  judge(error: TunnelError, operation: string): TunnelError {
    const { digest, operations } = this.#accepted;
    if (error.code !== 'TokenRefused' || digest !== this.#asked || !operations.has(operation)) return error;
    return new TunnelError(
      'TokenExpired',
      `${error.message}; it was accepted before: put a new token into Secret ${this.#credentials.secretName}`,
      { cause: error },
    );
  }
}
