// Which bastions (ssm: nodes) accepted what the Secrets hold now, and which refused it. A refused rotation ends nothing, because the last content that
// worked stays in memory; so it must be told, or the outage comes with the next restart.
// Neighbours: the drivers of ssh and ssm note each attempt here, driver.ts says what the tunnel is told.
import { type Code, TunnelError } from '../../contract/errors.ts';
import type { Logger } from '../../process/log.ts';
import type { CredentialsVerdict } from './driver.ts';

/** Called if a hop gets an earlier content of its Secret, with the reason. */
export type OnOlder = (problem: TunnelError) => void;

export class CredentialsRecord {
  readonly #log: Logger;
  readonly #codes: ReadonlySet<Code>;
  /** By route; undefined: everything on its way was accepted. */
  readonly #outcomes = new Map<string, TunnelError | undefined>();

  /** `codes`: what says that the credentials are wrong, and not the way to the host. */
  constructor(codes: readonly Code[], log: Logger) {
    this.#codes = new Set(codes);
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
      if (error instanceof TunnelError && this.#codes.has(error.code)) this.#outcomes.set(via, error);
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
