// When a hop that refuses the login is asked again. One refusal does not mean that credentials are wrong which it accepted before: its
// directory or metadata service may be away for a moment. OpenSSH 9.8 and later bans an address that fails often, and pods share one, so
// that there is one attempt for each hop at a time. No I/O. Neighbours: driver.ts asks it, tunnel/retry-schedule.ts has the same pace.
import { TunnelError } from '../../../contract/errors.ts';
import type { CredentialSet, CredentialStore } from './login/credentials.ts';

/** docs/promises.md, promise 4. */
const secondMs = 8_000;
const laterMs = 15_000;
const patienceMs = 2 * 60_000;
/** Timers of the tunnel fire a little early or late. */
const slackMs = 500;

interface Refusal {
  readonly since: number;
  readonly error: TunnelError;
  readonly nextAt: number;
  isTrying: boolean;
}

export interface PacedLogin {
  /** Call it before the login. @throws TunnelError LoginRefused while it is too early. */
  begin(): void;
  /** Call it before the credentials are shown. @throws TunnelError LoginRefused if another login was refused since `begin`. */
  check(): void;
  accepted(): void;
  /** Returns the error to report. */
  failed(error: unknown): unknown;
}

export class LoginPace {
  readonly #now: () => number;
  readonly #refusals = new Map<string, Refusal>();

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The pace of one hop with this content of its Secret: a changed one is tried at once, whatever became of the one before. */
  of(hop: string, set: CredentialSet | undefined, store: CredentialStore): PacedLogin {
    const id = `${hop} ${set?.digest}`;
    let known: Refusal | undefined;
    return {
      begin: () => {
        this.begin(id);
        known = this.#refusals.get(id);
      },
      // An attempt that nobody answered for a second is joined by another: both together must not be refused twice.
      check: () => {
        const refusal = this.#refusals.get(id);
        if (refusal !== undefined && refusal !== known) throw refusal.error;
      },
      accepted: () => this.forget(id),
      failed: (error) => {
        this.ended(id);
        const isRefusal = error instanceof TunnelError && error.code === 'AuthenticationFailed';
        // Accepted by this hop, and unchanged since: the first login, and a changed Secret, are told as they are.
        return isRefusal && store.isAccepted(hop, set) ? this.refused(id, error) : error;
      },
    };
  }

  /** Call it before a login to the hop. @throws TunnelError LoginRefused while it is too early, or another login to it is under way. */
  begin(hop: string): void {
    const refusal = this.#refusals.get(hop);
    if (refusal === undefined) return;
    if (refusal.isTrying || this.#now() < refusal.nextAt - slackMs) throw refusal.error;
    refusal.isTrying = true;
  }

  /** The login has ended in another way than a refusal. */
  ended(hop: string): void {
    const refusal = this.#refusals.get(hop);
    if (refusal !== undefined) refusal.isTrying = false;
  }

  /** The hop accepted a login, or its credentials changed. */
  forget(hop: string): void {
    this.#refusals.delete(hop);
  }

  /** The hop refused credentials that it accepted before. Returns the error to report: after two minutes it is the refusal itself. */
  refused(hop: string, error: TunnelError): TunnelError {
    const before = this.#refusals.get(hop);
    const now = this.#now();
    const since = before?.since ?? now;
    if (now - since >= patienceMs) {
      // Kept: it stays a refusal for good until the hop accepts a login.
      this.#refusals.set(hop, { since, error, nextAt: now, isTrying: false });
      return error;
    }
    const transient = new TunnelError(
      'LoginRefused',
      `${error.message} (it accepted them before: tried again for two minutes)`,
      { cause: error },
    );
    const nextAt = now + (before === undefined ? secondMs : laterMs);
    this.#refusals.set(hop, { since, error: transient, nextAt, isTrying: false });
    return transient;
  }
}
