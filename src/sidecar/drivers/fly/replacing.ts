// What is awaited before another device follows that of an earlier session: two devices with one key would take the tunnel from each other.
// Neighbours: driver.ts opens the device, session.ts closes its own when it ends, ladder.ts says when a silent one may be replaced.
import type { Code } from '../../../contract/errors.ts';
import { abortable } from '../../../process/abort.ts';
import { type Clock, sleep } from '../../../process/clock.ts';
import type { CredentialsVerdict } from '../../base/driver.ts';
import type { FlySession } from './session.ts';

export interface ReplacingOptions {
  /** What fly.io says of the token now. */
  readonly verdict: () => CredentialsVerdict;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How often a session that may still recover is looked at. */
const lookMs = 250;
/** No peer is made with such a token. One that is refused for one thing may be allowed another. */
const unusable: ReadonlySet<Code> = new Set<Code>(['TokenExpired', 'TokenMissing']);

/**
 * Resolves when another device may be opened. True: with a peer of its own, because the session lives. False: with the same peer, because
 * the session has ended and its device is closed. @throws the signal's reason
 */
export async function untilReplaceable(
  session: Pick<FlySession, 'signal' | 'suspect' | 'replaceable' | 'close'>,
  { verdict, clock, signal }: ReplacingOptions,
): Promise<boolean> {
  // While a silent session may still recover, another one would only cost a peer; with an unusable token none is made, and what is wrong is
  // known some seconds earlier. Beside a session that carries it is wanted, to try a token.
  const maySpeakAgain = (): boolean => session.suspect && !session.replaceable && !isUnusable(verdict());
  // At least once: an attempt that waited for the one before it is cancelled when that has opened this session.
  if (!session.signal.aborted) {
    do await sleep(lookMs, { signal, clock });
    while (maySpeakAgain());
  }
  if (!session.signal.aborted) return true;
  await abortable(session.close(), { signal });
  return false;
}

function isUnusable({ refused }: CredentialsVerdict): boolean {
  return [...refused.values()].some(({ code }) => unusable.has(code));
}
