// Which failed requests are tried again, and when. Pure, so that the whole policy is one table in its test.
import { ApiError, ApiUnreachable } from '../base/api-error.ts';

/**
 * What a second try could do: `idempotent` nothing new; `once` (creates) a second object, so only if the first provably
 * did nothing; `never` is for callers with a rhythm of their own (the elector).
 */
export type Repeat = 'idempotent' | 'once' | 'never';

const maxRetries = 5;
const busy: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Milliseconds to wait before try number `attempt + 2`, or undefined if the error stands. `attempt` counts from 0. */
export function retryDelay(
  error: unknown,
  repeat: Repeat,
  attempt: number,
  random: () => number = Math.random,
): number | undefined {
  if (repeat === 'never' || attempt >= maxRetries || !mayRepeat(error, repeat)) return undefined;
  const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(asked, 250 * 2 ** attempt) * (1 + 0.5 * random());
}

function mayRepeat(error: unknown, repeat: 'idempotent' | 'once'): boolean {
  if (error instanceof ApiUnreachable) return repeat === 'idempotent' || !error.sent;
  if (!(error instanceof ApiError)) return false;
  // 429 is refused before it is acted on; the others may come from a proxy in between, after the act.
  if (error.status === 429) return true;
  // 500 is tried again only where the server says when, as client-go does.
  return (
    repeat === 'idempotent' && (busy.has(error.status) || (error.status === 500 && error.retryAfterMs !== undefined))
  );
}
