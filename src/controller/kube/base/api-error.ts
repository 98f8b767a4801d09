// What can go wrong in a request to the API server: it answered with an error (`ApiError`), it gave no answer (`ApiUnreachable`; a
// deadline is `DeadlineExceeded`), or we did not send it (`WriteHeldBack`). Callers ask the predicates, never numbers or texts.
import { DeadlineExceeded } from '../../../process/deadline.ts';

/** The part of a `Status` body that we read. */
export interface StatusBody {
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly field?: string; readonly message?: string; readonly reason?: string }[];
  };
}

/** The API server refused a request. `message` is its own sentence and names the request; no header of the request is kept. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** The HTTP status; for an error inside a watch stream, the code of the `Status` object. */
  readonly status: number;
  /** The machine-readable reason, such as `NotFound` or `AlreadyExists`; '' where the body was not a Status. */
  readonly reason: string;
  readonly causes: readonly { readonly field?: string; readonly message?: string }[];
  /** How long the server asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(request: string, status: number, body: StatusBody, retryAfterMs?: number) {
    super(`${request}: ${body.message ?? `HTTP ${status}`}`);
    this.status = status;
    this.reason = body.reason ?? '';
    this.causes = body.details?.causes ?? [];
    const seconds = body.details?.retryAfterSeconds;
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1_000);
  }
}

/** No answer came: the connection failed or broke, for the reason in `cause`. `sent`: the server may have acted on the request. */
export class ApiUnreachable extends Error {
  override readonly name = 'ApiUnreachable';
  readonly sent: boolean;

  constructor(request: string, cause: unknown, sent: boolean) {
    super(`${request}: no answer from the API server: ${cause instanceof Error ? cause.message : 'unknown reason'}`, {
      cause,
    });
    this.sent = sent;
  }
}

/** A write was not sent, because the last one of that object got no answer in time; `retryInMs` says when the next one may go. */
export class WriteHeldBack extends Error {
  override readonly name = 'WriteHeldBack';
  readonly retryInMs: number;

  constructor(path: string, retryInMs: number) {
    // Without the remaining time: the sentence stands in a status, which must not change with every look.
    super(`the last write of ${path} got no answer in time: the next one waits, up to 5 minutes`);
    this.retryInMs = retryInMs;
  }
}

/** An answer was longer than what its reader takes. */
export class ResponseTooLarge extends Error {
  override readonly name = 'ResponseTooLarge';

  constructor(request: string, maxBytes: number) {
    super(`${request}: the response is larger than ${maxBytes} bytes`);
  }
}

const hasStatus = (error: unknown, status: number): error is ApiError =>
  error instanceof ApiError && error.status === status;

/** The object, or its kind, does not exist. */
export const isNotFound = (error: unknown): error is ApiError => hasStatus(error, 404);

/** The object changed meanwhile, or a uid or resourceVersion precondition failed: read again and start over. */
export const isConflict = (error: unknown): error is ApiError =>
  hasStatus(error, 409) && error.reason !== 'AlreadyExists';

/** A create met an object of the same name. */
export const isAlreadyExists = (error: unknown): error is ApiError =>
  hasStatus(error, 409) && error.reason === 'AlreadyExists';

/** Only the message shows a refusal by an admission policy (422) or a webhook (any status). */
const denial = /ValidatingAdmissionPolicy '|admission webhook ".*" denied the request/;

const isDenied = (error: unknown): error is ApiError => error instanceof ApiError && denial.test(error.message);

/** RBAC, an admission policy or webhook, or a quota says no; only a person can change that. */
export const isForbidden = (error: unknown): error is ApiError => hasStatus(error, 403) || isDenied(error);

/** The object did not pass the API server's validation. */
export const isInvalid = (error: unknown): error is ApiError =>
  (hasStatus(error, 422) || hasStatus(error, 400)) && !isDenied(error);

/** The resourceVersion that we continued from is too old: list again. */
export const isGone = (error: unknown): error is ApiError =>
  hasStatus(error, 410) || (error instanceof ApiError && error.reason === 'Expired');

/** The API server asks for fewer requests. */
export const isTooManyRequests = (error: unknown): error is ApiError => hasStatus(error, 429);

/** The API server refused, failed or did not answer in time. Not so: an abort, lost leadership, a mistake of ours. */
export const isApiFailure = (error: unknown): error is Error =>
  error instanceof ApiError ||
  error instanceof ApiUnreachable ||
  error instanceof DeadlineExceeded ||
  error instanceof WriteHeldBack;
