// Which bastions accepted what the Secrets hold now, and which refused it. A refused rotation ends nothing, because the last content that
// worked stays in memory; so it must be told, or the outage comes with the next restart.
// Neighbours: driver.ts notes each login here, base/driver.ts says what the tunnel is told.
import { type Code, TunnelError } from '../../../contract/errors.ts';
import type { Logger } from '../../../process/log.ts';
import type { CredentialsVerdict } from '../../base/driver.ts';

/** What is wrong with credentials, not with the way to the host. */
const credentialCodes: ReadonlySet<Code> = new Set([
  'SecretNotFound',
  'SecretKeyMissing',
  'PrivateKeyInvalid',
  'PassphraseWrong',
  'PasswordNotTrusted',
  'AuthenticationFailed',
]);

/** Called if a hop gets an earlier content of its Secret, with the reason. */
export type OnOlder = (problem: TunnelError) => void;

export const refusedNow = (host: string, secretName: string): TunnelError =>
  new TunnelError(
    'AuthenticationFailed',
    `${host} refuses what Secret ${secretName} holds now, and was logged in to with its earlier content, which is lost at a restart: correct the Secret, or admit the new key there`,
  );

export class CredentialsRecord {
  readonly #log: Logger;
  /** By route; undefined: everything on its way was accepted. */
  readonly #outcomes = new Map<string, TunnelError | undefined>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The files changed: earlier logins say nothing about what they hold now. */
  forget(then: () => void): void {
    this.#outcomes.clear();
    then();
  }

  /** Notes what an attempt over the route shows of the credentials, and passes its outcome on. */
  async note<T>(via: string, attempt: (onOlder: OnOlder) => Promise<T>): Promise<T> {
    let problem: TunnelError | undefined;
    try {
      const session = await attempt((reason) => (problem ??= reason));
      this.#set(via, problem);
      return session;
    } catch (error) {
      if (error instanceof TunnelError && credentialCodes.has(error.code)) this.#outcomes.set(via, error);
      throw error;
    }
  }

  #set(via: string, problem: TunnelError | undefined): void {
    if (problem !== undefined && this.#outcomes.get(via)?.message !== problem.message) {
      this.#log.warn({ via, reason: problem.code, message: problem.message }, 'the present Secret is refused');
    }
    this.#outcomes.set(via, problem);
  }

  get verdict(): CredentialsVerdict {
    const refused = new Map<string, TunnelError>();
    for (const [via, problem] of this.#outcomes) if (problem !== undefined) refused.set(via, problem);
    return { isTried: this.#outcomes.size > 0, refused };
  }
}
