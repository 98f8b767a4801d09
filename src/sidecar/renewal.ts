// When a bastion prohibits a destination, sshd judges by what was configured when the session was authenticated: a permission that was
// given since shows only on a fresh session. So, at most once a minute, a fresh one is opened beside the working ones and asked for
// that destination alone; the others are replaced only if it is permitted by now.
// Neighbours: tunnel.ts opens and replaces, dialer.ts tells what was prohibited.
import { TunnelError } from '../contract/errors.ts';
import type { Forward } from '../contract/tunnel-config.ts';
import type { Clock } from '../process/clock.ts';
import type { Session } from './driver.ts';
import { timeLimit } from './time-limit.ts';

/** As often as other refusals that a person has to mend (DESIGN promise 4). */
export const renewalMs = 60_000;

/** Whether the fresh session may carry that destination now: any answer but "prohibited" counts, because it would change what is told. */
export async function isPermitted(
  session: Session,
  forward: Forward,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<boolean> {
  using limit = timeLimit(clock, timeoutMs, () => new TunnelError('DestinationTimeout', 'no answer'), session.signal);
  try {
    const stream = await session.dial(forward.destination, { signal: limit.signal });
    stream.on('error', () => undefined);
    stream.destroy();
    return true;
  } catch (error) {
    return !(error instanceof TunnelError && error.code === 'ForwardingProhibited');
  }
}
